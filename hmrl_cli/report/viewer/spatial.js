// Episodes in 3-D, with WebGL.

// ----------------------------------------------------------------------------------------------- meshes

/** A profile of [radius, z, normal outwards, normal upwards] turned about the z axis. */
function lathe(profile) {
  const sectors = 24;
  const vertices = [];
  const indices = [];
  for (let sector = 0; sector <= sectors; sector++) {
    const [c, s] = [Math.cos, Math.sin].map((f) => f((2 * Math.PI * sector) / sectors));
    for (const [radius, z, out, up] of profile) {
      vertices.push(radius * c, radius * s, z, out * c, out * s, up);
    }
  }
  for (let corner = 0; corner < sectors * profile.length; corner++) {
    if (corner % profile.length === profile.length - 1) continue;
    const across = corner + profile.length;
    indices.push(corner, corner + 1, across, across, corner + 1, across + 1);
  }
  return { vertices, indices };
}

function capsule(radius, half) {
  const profile = [];
  for (const side of [-1, 1]) {
    for (let step = 0; step <= 6; step++) {
      const angle = ((step / 6 + (side - 1) / 2) * Math.PI) / 2;
      const [out, up] = [Math.cos(angle), Math.sin(angle)];
      profile.push([radius * out, radius * up + side * half, out, up]);
    }
  }
  return lathe(profile);
}

function cylinder(radius, half) {
  const disc = (side) => [[radius, side * half, 0, side], [0, side * half, 0, side]];
  const wall = [[radius, -half, 1, 0], [radius, half, 1, 0]];
  return lathe([...disc(-1).reverse(), ...wall, ...disc(1)]);
}

function box(...half) {
  const vertices = [];
  const indices = [];
  for (const axis of [0, 1, 2]) {
    for (const side of [-1, 1]) {
      const first = vertices.length / 6;
      const normal = [0, 0, 0];
      normal[axis] = side;
      for (const [u, v] of [[-1, -1], [1, -1], [-1, 1], [1, 1]]) {
        const corner = [];
        corner[axis] = side * half[axis];
        corner[(axis + 1) % 3] = u * half[(axis + 1) % 3];
        corner[(axis + 2) % 3] = v * half[(axis + 2) % 3];
        vertices.push(...corner, ...normal);
      }
      indices.push(...[0, 1, 2, 2, 1, 3].map((index) => first + index));
    }
  }
  return { vertices, indices };
}

const MESHES = { sphere: (radius) => capsule(radius, 0), capsule, cylinder, box };

// ---------------------------------------------------------------------------------------------- shaders

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

// ------------------------------------------------------------------------------------------- 3-D scenes

const SUN = scaled([-0.45, -0.6, 1.1], 1 / Math.hypot(-0.45, -0.6, 1.1));
const SHADOW_LAYERS = 6;

class SpatialScene {
  constructor(canvas, record, firstEpisode) {
    this.canvas = canvas;
    this.gl = canvas.getContext("webgl2", { alpha: false, antialias: true, stencil: true });
    if (!this.gl) throw new Error("This browser offers no WebGL 2, which the 3-D view needs.");
    canvas.addEventListener("webglcontextlost", () => {
      fail(new Error("The browser took the 3-D view away; reload the page."));
    });
    this.programs = Object.fromEntries(
      Object.entries(SHADERS).map(([name, sources]) => [name, new Program(this.gl, sources)]),
    );
    this.shapes = record.shapes.map((shape) => {
      return { ...shape, mesh: this.upload(MESHES[shape.kind](...shape.size)) };
    });
    this.plane = this.gl.createVertexArray(); // without attributes: the shader makes the corners
    this.trails = new Map();

    const [first] = firstEpisode.parts;
    const figure = this.figureRadius(first);
    this.cell = 10 ** Math.round(Math.log10(figure));
    this.home = this.viewRadius(first, figure) / Math.sin(FIELD_OF_VIEW / 2);
    this.camera = new OrbitCamera(this.home);
    byId("hint").textContent = "Drag to rotate, shift-drag to pan, scroll to zoom";
    byId("scale").textContent = `Squares of ${this.cell} m`;
  }

  /** How far the moving shapes reach from body 0 at the start. */
  figureRadius(episode) {
    const start = episode.moment(0);
    const centre = episode.pose(0, start).position;
    const reaches = this.shapes
      .filter((shape) => shape.body >= 0)
      .map((shape) => distance(placed(shape, episode, start).position, centre) + reachOf(shape))
      .filter(Number.isFinite);
    return clamp(Math.max(0, ...reaches), 0.05, 20) || 1;
  }

  /** What the first view shows: the figure, and the goals as far as the figure stays readable. */
  viewRadius(episode, figure) {
    const { position } = episode.pose(0, episode.moment(0));
    const goals = episode.goalsAt(0).map(({ x, y, z, radius }) => distance([x, y, z], position) + radius);
    return clamp(Math.max(0, ...goals.filter(Number.isFinite)), 1.2 * figure, 2.1 * figure);
  }

  upload({ vertices, indices }) {
    const gl = this.gl;
    const vao = gl.createVertexArray();
    gl.bindVertexArray(vao);
    gl.bindBuffer(gl.ARRAY_BUFFER, gl.createBuffer());
    gl.bufferData(gl.ARRAY_BUFFER, new Float32Array(vertices), gl.STATIC_DRAW);
    gl.bindBuffer(gl.ELEMENT_ARRAY_BUFFER, gl.createBuffer());
    gl.bufferData(gl.ELEMENT_ARRAY_BUFFER, new Uint16Array(indices), gl.STATIC_DRAW);
    this.attributes(3, 3);
    return { vao, count: indices.length };
  }

  /** Two interleaved attributes of the bound buffer. */
  attributes(first, second) {
    const bytes = 4 * (first + second);
    [first, second].forEach((size, index) => {
      this.gl.enableVertexAttribArray(index);
      this.gl.vertexAttribPointer(index, size, this.gl.FLOAT, false, bytes, 4 * index * first);
    });
  }

  show(episode) {
    const wasFilm = this.episode && this.episode.parts.length > 1;
    this.episode = episode;
    for (const { vao, buffer } of this.trails.values()) {
      this.gl.deleteVertexArray(vao);
      this.gl.deleteBuffer(buffer);
    }
    this.trails = new Map(episode.parts.map((part) => [part, this.trailOf(part)]));
    if (episode.parts.length > 1) {
      const { middle, half } = boxAround(episode.parts);
      this.camera.aim((1.15 * Math.hypot(...half)) / Math.sin(FIELD_OF_VIEW / 2), [...middle, 0]);
    } else if (wasFilm) {
      this.camera.aim(this.home);
    }
  }

  /** The path of one episode as a ribbon on the ground. */
  trailOf(episode) {
    const trail = { vao: this.gl.createVertexArray(), buffer: this.gl.createBuffer() };
    const path = episode.path();
    let side = [0, 0];
    const ribbon = path.flatMap((point, frame) => {
      const [dx, dy] = add(path[Math.min(frame + 1, episode.last)], scaled(path[Math.max(frame - 1, 0)], -1));
      const length = Math.hypot(dx, dy);
      if (length > 1e-6) side = [-dy / length, dx / length]; // else the body rests: keep the last direction
      return [...point, ...side, ...point, -side[0], -side[1]];
    });
    this.gl.bindVertexArray(trail.vao);
    this.gl.bindBuffer(this.gl.ARRAY_BUFFER, trail.buffer);
    this.gl.bufferData(this.gl.ARRAY_BUFFER, new Float32Array(ribbon), this.gl.STATIC_DRAW);
    this.attributes(2, 2);
    return trail;
  }

  /** Draws a moment. Seconds is how long the camera had to follow; infinite for a jump. */
  draw(moment, seconds) {
    const gl = this.gl;
    const ratio = fitPixels(this.canvas);
    this.camera.follow(this.episode.pose(0, moment).position, seconds);
    const view = this.camera.view(this.canvas.width / this.canvas.height);
    const common = {
      uView: view.matrix,
      uEye: view.eye,
      uCentre: view.centre,
      uReach: 4 * this.camera.distance + 8 * this.cell,
    };
    const sky = themedRgb("sky");
    const shown = this.episode.shown(moment);
    const shapes = shown.filter(({ body }) => body).flatMap((ghost) => this.bodyOf(ghost));

    gl.viewport(0, 0, this.canvas.width, this.canvas.height);
    gl.clearColor(...sky, 1);
    gl.clear(gl.COLOR_BUFFER_BIT | gl.DEPTH_BUFFER_BIT | gl.STENCIL_BUFFER_BIT);
    gl.enable(gl.DEPTH_TEST);
    gl.blendFunc(gl.SRC_ALPHA, gl.ONE_MINUS_SRC_ALPHA);
    this.drawGround(common, sky);
    // What lies flat on the ground is painted over it regardless of depth, before anything stands there.
    gl.enable(gl.BLEND);
    gl.disable(gl.DEPTH_TEST);
    this.drawShadows(common, shapes);
    for (const ghost of shown) this.drawTrail(common, ghost, ratio, view.focal);
    const isAbove = ({ z }) => z > 0.02 * this.cell;
    this.drawGoals(common, moment.frame, (goal) => !isAbove(goal));
    gl.disable(gl.BLEND);
    gl.enable(gl.DEPTH_TEST);
    this.drawShapes(common, shapes, sky);
    gl.enable(gl.BLEND);
    gl.depthMask(false);
    this.drawGoals(common, moment.frame, isAbove);
    gl.depthMask(true);
    gl.disable(gl.BLEND);
    this.checked ??= this.check();
  }

  /** Asking waits for the graphics card, so only the first frame is checked: the others do the same. */
  check() {
    if (this.gl.getError() !== this.gl.NO_ERROR) throw new Error("The 3-D view could not be drawn.");
    return true;
  }

  drawGround(common, sky) {
    const [uLight, uDark] = ["ground-light", "ground-dark"].map(themedRgb);
    this.programs.ground.use({ ...common, uCell: this.cell, uLight, uDark, uSky: sky });
    this.gl.bindVertexArray(this.plane);
    this.gl.drawArrays(this.gl.TRIANGLE_STRIP, 0, 4);
  }

  /** Shadows of a sun that is a small ring: sharp where a shape touches the ground, softer above it. */
  drawShadows(common, shapes) {
    const gl = this.gl;
    const layer = 1 - (1 - 0.5) ** (1 / SHADOW_LAYERS);
    const program = this.programs.shadow;
    program.use({ ...common, uColour: [...themedRgb("shadow"), layer] });
    gl.enable(gl.STENCIL_TEST);
    gl.stencilOp(gl.KEEP, gl.KEEP, gl.REPLACE);
    for (let number = 1; number <= SHADOW_LAYERS; number++) {
      const angle = (2 * Math.PI * number) / SHADOW_LAYERS;
      gl.stencilFunc(gl.NOTEQUAL, number, 0xff); // shapes that overlap darken a layer once
      const [dx, dy] = [Math.cos(angle), Math.sin(angle)];
      program.set("uSlope", [SUN[0] / SUN[2] + 0.07 * dx, SUN[1] / SUN[2] + 0.07 * dy]);
      for (const shape of shapes) this.drawMesh(program, shape);
    }
    gl.disable(gl.STENCIL_TEST);
  }

  /** The shapes of a body where it is; those of one of many have its colour. */
  bodyOf({ part, moment, look, number }) {
    const tinted = (color) => color.map((value, axis) => mix(value, look[axis], number === undefined ? 0 : 0.7));
    return this.shapes
      .filter(({ body }) => body >= 0 || !number) // what stands still is drawn once
      .map((shape) => ({ ...shape, ...placed(shape, part, moment), color: tinted(shape.color) }));
  }

  drawTrail(common, { part, moment, look, strength, body }, ratio, focal) {
    const uPixel = ((body ? 2.4 : 1.6) * ratio) / (focal * this.canvas.height);
    this.programs.trail.use({ ...common, uPixel, uColour: [...look, 0.75 * strength] });
    this.gl.bindVertexArray(this.trails.get(part).vao);
    this.gl.drawArrays(this.gl.TRIANGLE_STRIP, 0, 2 * (moment.frame + 1));
  }

  drawShapes(common, shapes, sky) {
    this.programs.shape.use({ ...common, uSky: sky, uSun: SUN });
    for (const shape of shapes) {
      this.programs.shape.set("uColour", shape.color);
      this.drawMesh(this.programs.shape, shape);
    }
  }

  drawMesh(program, { mesh, position, rotation }) {
    program.set("uPosition", position);
    program.set("uRotation", rotation);
    this.gl.bindVertexArray(mesh.vao);
    this.gl.drawElements(this.gl.TRIANGLES, mesh.count, this.gl.UNSIGNED_SHORT, 0);
  }

  drawGoals(common, frame, isWanted) {
    const program = this.programs.goal;
    const colour = themedRgb(this.episode.success[frame] ? "success" : "goal");
    program.use({ ...common, uColour: [...colour, 1] });
    this.gl.bindVertexArray(this.plane);
    for (const { x, y, z, radius } of this.episode.goalsAt(frame).filter(isWanted)) {
      program.set("uGoal", [x, y, z, Math.max(radius, 0.02 * this.cell)]);
      this.gl.drawArrays(this.gl.TRIANGLE_STRIP, 0, 4);
    }
  }
}
