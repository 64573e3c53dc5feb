// Programs of the graphics card, and the uniforms that they take.

const COMMON = `#version 300 es
precision highp float;
uniform mat4 uView;
uniform vec3 uEye;
uniform vec3 uCentre;   // what the camera looks at: everything fades with the distance from it
uniform float uReach;   // at which distance
float nearness(vec2 place) {
  vec2 away = (place - uCentre.xy) / uReach;
  return exp(-dot(away, away));
}
`;

const TURN = `
layout(location = 0) in vec3 aPosition;
layout(location = 1) in vec3 aNormal;
uniform vec3 uPosition;
uniform vec4 uRotation;
vec3 turned(vec3 v) {
  vec3 twice = 2.0 * cross(uRotation.yzw, v);
  return v + uRotation.x * twice + cross(uRotation.yzw, twice);
}
`;

const PAINT = `
in vec2 vPlace;
uniform vec4 uColour;
out vec4 colour;
void main() { colour = vec4(uColour.rgb, uColour.a * nearness(vPlace)); }
`;

const QUAD = "vec2 corner = vec2(gl_VertexID & 1, gl_VertexID >> 1) * 2.0 - 1.0;";

const SHADERS = {
  ground: [
    `out vec2 vPlace;
    void main() {
      ${QUAD}
      vPlace = uCentre.xy + 3.0 * uReach * corner;  // beyond, it has faded
      gl_Position = uView * vec4(vPlace, 0.0, 1.0);
    }`,
    `in vec2 vPlace;
    uniform float uCell;
    uniform vec3 uLight, uDark, uSky;
    out vec4 colour;
    // A wave of period 2 between -1 and 1, as steep as one pixel allows and flat where cells get too small.
    vec2 wave(vec2 x) {
      vec2 pixel = fwidth(x);
      vec2 triangle = 2.0 * abs(2.0 * fract(0.5 * x + 0.25) - 1.0) - 1.0;
      return clamp(triangle / pixel, -1.0, 1.0) * (1.0 - smoothstep(0.3, 1.0, pixel));
    }
    void main() {
      vec2 side = wave(vPlace / uCell);
      vec3 checker = mix(uDark, uLight, 0.5 + 0.5 * side.x * side.y);
      colour = vec4(mix(uSky, checker, nearness(vPlace)), 1.0);
    }`,
  ],
  shadow: [
    `${TURN}
    uniform vec2 uSlope;  // how far a shadow moves per metre of height
    out vec2 vPlace;
    void main() {
      vec3 world = turned(aPosition) + uPosition;
      // What is below the floor throws no shadow of its own, so it must not move either.
      vPlace = world.xy - uSlope * max(world.z, 0.0);
      gl_Position = uView * vec4(vPlace, 0.0, 1.0);
    }`,
    PAINT,
  ],
  shape: [
    `${TURN}
    out vec3 vWorld, vNormal;
    void main() {
      vWorld = turned(aPosition) + uPosition;
      vNormal = turned(aNormal);
      gl_Position = uView * vec4(vWorld, 1.0);
    }`,
    `in vec3 vWorld, vNormal;
    uniform vec3 uColour, uSky, uSun;
    out vec4 colour;
    void main() {
      vec3 normal = normalize(vNormal);
      vec3 toEye = normalize(uEye - vWorld);
      float key = max(dot(normal, uSun), 0.0);
      float gloss = pow(max(dot(normal, normalize(uSun + toEye)), 0.0), 36.0);
      vec3 ambient = mix(vec3(0.19, 0.18, 0.17), vec3(0.46, 0.49, 0.54), 0.5 + 0.5 * normal.z);
      vec3 linear = pow(uColour, vec3(2.2)) * (ambient + 0.72 * key) + 0.07 * gloss;
      colour = vec4(mix(uSky, pow(linear, vec3(1.0 / 2.2)), nearness(vWorld.xy)), 1.0);
    }`,
  ],
  trail: [
    `layout(location = 0) in vec2 aPoint;
    layout(location = 1) in vec2 aSide;
    uniform float uPixel;  // half the trail's width, as a share of the distance from the eye
    out vec2 vPlace;
    void main() {
      float depth = (uView * vec4(aPoint, 0.0, 1.0)).w;
      vPlace = aPoint + aSide * uPixel * max(depth, 0.0);
      gl_Position = uView * vec4(vPlace, 0.0, 1.0);
    }`,
    PAINT,
  ],
  goal: [
    `uniform vec4 uGoal;
    out vec2 vCorner;
    void main() {
      ${QUAD}
      vCorner = corner;
      gl_Position = uView * vec4(uGoal.xy + uGoal.w * corner, uGoal.z, 1.0);
    }`,
    `in vec2 vCorner;
    uniform vec4 uColour;
    out vec4 colour;
    void main() {
      float radius = length(vCorner);
      float pixel = fwidth(radius);
      float inside = 1.0 - smoothstep(1.0 - pixel, 1.0, radius);
      float rim = max(0.05, 2.5 * pixel);
      float ring = smoothstep(1.0 - rim - pixel, 1.0 - rim, radius);
      colour = vec4(uColour.rgb, inside * mix(0.28, 0.95, ring));
    }`,
  ],
};

class Program {
  constructor(gl, [vertex, fragment]) {
    this.gl = gl;
    this.handle = gl.createProgram();
    this.attach(gl.VERTEX_SHADER, vertex);
    this.attach(gl.FRAGMENT_SHADER, fragment);
    gl.linkProgram(this.handle);
    if (!gl.getProgramParameter(this.handle, gl.LINK_STATUS)) {
      throw new Error(gl.getProgramInfoLog(this.handle));
    }
    this.places = new Map();
  }

  attach(type, source) {
    const gl = this.gl;
    const shader = gl.createShader(type);
    gl.shaderSource(shader, COMMON + source);
    gl.compileShader(shader);
    if (!gl.getShaderParameter(shader, gl.COMPILE_STATUS)) throw new Error(gl.getShaderInfoLog(shader));
    gl.attachShader(this.handle, shader);
  }

  use(values) {
    this.gl.useProgram(this.handle);
    for (const [name, value] of Object.entries(values)) this.set(name, value);
  }

  /** Sets a uniform; its type follows from how many numbers there are. */
  set(name, value) {
    if (!this.places.has(name)) this.places.set(name, this.gl.getUniformLocation(this.handle, name));
    const place = this.places.get(name);
    if (typeof value === "number") this.gl.uniform1f(place, value);
    else if (value.length === 16) this.gl.uniformMatrix4fv(place, false, value);
    else this.gl[`uniform${value.length}fv`](place, value);
  }
}
