// Plays recorded episodes. The page around this script carries them as JSON; nothing else is loaded.
//
// Lengths are metres, z points up and the floor is z = 0. Quaternions are [w, x, y, z].

const byId = (id) => document.getElementById(id);
const clamp = (value, low, high) => Math.min(Math.max(value, low), high);
const mix = (from, to, share) => from + (to - from) * share;

// ---------------------------------------------------------------------------------------------- vectors

const add = (a, b) => a.map((value, axis) => value + b[axis]);
const scaled = (a, factor) => a.map((value) => value * factor);
const dot = (a, b) => a.reduce((sum, value, axis) => sum + value * b[axis], 0);
const distance = (a, b) => Math.hypot(...a.map((value, axis) => value - b[axis]));
const cross = (a, b) => [a[1] * b[2] - a[2] * b[1], a[2] * b[0] - a[0] * b[2], a[0] * b[1] - a[1] * b[0]];

function quaternionProduct([w, ...u], [s, ...v]) {
  return [w * s - dot(u, v), ...add(add(scaled(v, w), scaled(u, s)), cross(u, v))];
}

function rotated([w, ...u], vector) {
  const twice = scaled(cross(u, vector), 2);
  return add(add(vector, scaled(twice, w)), cross(u, twice));
}

/** Normalised linear interpolation along the shorter of the two arcs. */
function between(from, to, share) {
  const sign = dot(from, to) < 0 ? -1 : 1;
  const sum = from.map((value, axis) => mix(value, sign * to[axis], share));
  const length = Math.hypot(...sum);
  return length > 0 ? scaled(sum, 1 / length) : [1, 0, 0, 0];
}

// --------------------------------------------------------------------------------------------- episodes

function decodeFloats(base64) {
  return new Float32Array(Uint8Array.from(atob(base64), (character) => character.charCodeAt(0)).buffer);
}

/** One episode, decoded. A moment in it is a frame and how far (0 to 1) it is on the way to the next. */
class Episode {
  constructor(record) {
    this.frames = record.frames;
    this.last = record.frames - 1;
    this.bodies = record.bodies;
    this.goalCount = record.num_goals;
    this.poses = decodeFloats(record.poses);
    this.goals = decodeFloats(record.goals);
    this.success = record.success;
    this.done = record.done;
    this.rewards = record.rewards.map((reward) => reward ?? NaN);
    let sum = 0;
    this.returns = this.rewards.map((reward) => (sum += reward));
  }

  moment(cursor) {
    const frame = clamp(Math.floor(cursor), 0, this.last);
    return { frame, share: frame < this.last ? cursor - frame : 0 };
  }

  pose(body, { frame, share }) {
    if (body < 0) return { position: [0, 0, 0], rotation: [1, 0, 0, 0] };
    const now = this.recordedPose(body, frame);
    const next = this.recordedPose(body, Math.min(frame + 1, this.last));
    return {
      position: now.slice(0, 3).map((value, axis) => mix(value, next[axis], share)),
      rotation: between(now.slice(3), next.slice(3), share),
    };
  }

  recordedPose(body, frame) {
    const start = 7 * (frame * this.bodies + body);
    return Array.from(this.poses.subarray(start, start + 7));
  }

  goalsAt(frame) {
    return Array.from({ length: this.goalCount }, (_, goal) => {
      const start = 4 * (frame * this.goalCount + goal);
      const [x, y, z, radius] = this.goals.subarray(start, start + 4);
      return { x, y, z, radius };
    });
  }

  /** Where body 0 is in the plane, frame by frame. */
  path() {
    return Array.from({ length: this.frames }, (_, frame) => this.recordedPose(0, frame).slice(0, 2));
  }
}

/** A shape's pose in the world. */
function placed(shape, episode, moment) {
  const body = episode.pose(shape.body, moment);
  return {
    position: add(body.position, rotated(body.rotation, shape.position)),
    rotation: quaternionProduct(body.rotation, shape.rotation),
  };
}

function reachOf({ kind, size }) {
  return kind === "box" ? Math.hypot(...size) : size.reduce((sum, length) => sum + length);
}

// ---------------------------------------------------------------------------------------------- drawing

const themed = (name) => getComputedStyle(document.documentElement).getPropertyValue(`--${name}`).trim();
const themedRgb = (name) => [1, 3, 5].map((at) => parseInt(themed(name).slice(at, at + 2), 16) / 255);
const css = (rgb) => `rgb(${rgb.map((value) => Math.round(255 * value)).join(" ")})`;

/** Gives a canvas as many pixels as the screen shows of it; returns how many make one CSS pixel. */
function fitPixels(canvas) {
  const ratio = Math.min(window.devicePixelRatio || 1, 3);
  const pixels = (length) => Math.max(1, Math.round(length * ratio));
  const [width, height] = [pixels(canvas.clientWidth), pixels(canvas.clientHeight)];
  if (canvas.width !== width || canvas.height !== height) Object.assign(canvas, { width, height });
  return ratio;
}

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

// ----------------------------------------------------------------------------------------------- camera

const FIELD_OF_VIEW = (38 * Math.PI) / 180; // across the shorter side of the canvas
const FAR = 300;

/** Circles around an anchor, which follows body 0, moved by an offset, which the user pans. */
class OrbitCamera {
  constructor(home) {
    this.home = home;
    this.following = true;
    this.anchor = [0, 0, 0];
    this.reset();
  }

  reset() {
    this.azimuth = -1.1;
    this.elevation = 0.42;
    this.distance = this.home;
    this.offset = [0, 0, 0];
  }

  follow(position, seconds) {
    if (!this.following || !position.every(Number.isFinite)) return;
    const share = 1 - Math.exp(-seconds / 0.25);
    this.anchor = this.anchor.map((value, axis) => mix(value, position[axis], share));
  }

  axes() {
    const [c, s] = [Math.cos(this.azimuth), Math.sin(this.azimuth)];
    const [ce, se] = [Math.cos(this.elevation), Math.sin(this.elevation)];
    return { right: [-s, c, 0], up: [-se * c, -se * s, ce], back: [ce * c, ce * s, se] };
  }

  rotate(dx, dy) {
    this.azimuth -= 0.007 * dx;
    this.elevation = clamp(this.elevation + 0.007 * dy, 0.02, 1.56);
  }

  pan(dx, dy, shorterSide) {
    const { right, up } = this.axes();
    const perPixel = (2 * this.distance * Math.tan(FIELD_OF_VIEW / 2)) / shorterSide;
    this.offset = add(this.offset, add(scaled(right, -dx * perPixel), scaled(up, dy * perPixel)));
    this.offset[2] = Math.max(this.offset[2], -this.anchor[2]);
  }

  zoom(factor) {
    this.distance = clamp(this.distance * factor, 0.05 * this.home, Math.max(80, this.home));
  }

  /** The eye, the centre and the matrix from the world to the screen, column by column. */
  view(aspect) {
    const centre = add(this.anchor, this.offset);
    const { right, up, back } = this.axes();
    const eye = add(centre, scaled(back, this.distance));
    const focal = 1 / Math.tan(FIELD_OF_VIEW / 2);
    const near = Math.max(0.05, 0.02 * this.distance); // no nearer than needed: depth is finest there
    const deep = (FAR + near) / (near - FAR);
    const rows = [
      scaled(right, focal / Math.max(aspect, 1)),
      scaled(up, focal * Math.min(aspect, 1)),
      scaled(back, deep),
      scaled(back, -1),
    ].map((row) => [...row, -dot(row, eye)]);
    rows[2][3] += (2 * FAR * near) / (near - FAR);
    const matrix = [0, 1, 2, 3].flatMap((column) => rows.map((row) => row[column]));
    return { eye, centre, matrix, focal: focal * Math.min(aspect, 1) };
  }
}

/** Mouse, pen and fingers: one pointer rotates or pans, two pinch and pan. */
function steer(canvas, camera, redraw) {
  const pointers = new Map();
  let panning = false;
  const gesture = () => {
    const points = [...pointers.values()];
    const middle = scaled(points.reduce(add), 1 / points.length);
    return { middle, spread: distance(points[0], middle) || 1 };
  };
  const release = (event) => pointers.delete(event.pointerId);

  canvas.addEventListener("pointerdown", (event) => {
    canvas.setPointerCapture(event.pointerId);
    pointers.set(event.pointerId, [event.clientX, event.clientY]);
    panning = event.shiftKey || event.button !== 0;
  });
  canvas.addEventListener("pointermove", (event) => {
    if (!pointers.has(event.pointerId)) return;
    const before = gesture();
    pointers.set(event.pointerId, [event.clientX, event.clientY]);
    const after = gesture();
    const [dx, dy] = add(after.middle, scaled(before.middle, -1));
    if (panning || pointers.size > 1) camera.pan(dx, dy, Math.min(canvas.clientWidth, canvas.clientHeight));
    else camera.rotate(dx, dy);
    camera.zoom(before.spread / after.spread);
    redraw();
  });
  canvas.addEventListener("pointerup", release);
  canvas.addEventListener("pointercancel", release);
  canvas.addEventListener("contextmenu", (event) => event.preventDefault());
  canvas.addEventListener("wheel", (event) => {
    event.preventDefault();
    const pixels = event.deltaY * (event.deltaMode === WheelEvent.DOM_DELTA_LINE ? 20 : 1);
    camera.zoom(Math.exp(0.0012 * clamp(pixels, -300, 300)));
    redraw();
  }, { passive: false });
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
    this.trail = { vao: this.gl.createVertexArray(), buffer: this.gl.createBuffer() };

    const figure = this.figureRadius(firstEpisode);
    this.cell = 10 ** Math.round(Math.log10(figure));
    this.camera = new OrbitCamera(this.viewRadius(firstEpisode, figure) / Math.sin(FIELD_OF_VIEW / 2));
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
    this.episode = episode;
    const path = episode.path();
    let side = [0, 0];
    const ribbon = path.flatMap((point, frame) => {
      const [dx, dy] = add(path[Math.min(frame + 1, episode.last)], scaled(path[Math.max(frame - 1, 0)], -1));
      const length = Math.hypot(dx, dy);
      if (length > 1e-6) side = [-dy / length, dx / length]; // else the body rests: keep the last direction
      return [...point, ...side, ...point, -side[0], -side[1]];
    });
    this.gl.bindVertexArray(this.trail.vao);
    this.gl.bindBuffer(this.gl.ARRAY_BUFFER, this.trail.buffer);
    this.gl.bufferData(this.gl.ARRAY_BUFFER, new Float32Array(ribbon), this.gl.STATIC_DRAW);
    this.attributes(2, 2);
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
    const shapes = this.shapes.map((shape) => ({ ...shape, ...placed(shape, this.episode, moment) }));

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
    this.drawTrail(common, moment, ratio, view.focal);
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

  drawTrail(common, { frame }, ratio, focal) {
    const uPixel = (2.4 * ratio) / (focal * this.canvas.height);
    this.programs.trail.use({ ...common, uPixel, uColour: [...themedRgb("accent"), 0.75] });
    this.gl.bindVertexArray(this.trail.vao);
    this.gl.drawArrays(this.gl.TRIANGLE_STRIP, 0, 2 * (frame + 1));
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

// ------------------------------------------------------------------------------------------ flat scenes

/** The largest of 1, 2 and 5 times a power of ten that is not above a length. */
function roundStep(length) {
  const power = 10 ** Math.floor(Math.log10(length));
  return power * [5, 2, 1].find((factor) => factor * power <= length);
}

class FlatScene {
  constructor(canvas, record) {
    this.canvas = canvas;
    this.context = canvas.getContext("2d");
    this.shapes = record.shapes;
  }

  show(episode) {
    this.episode = episode;
    this.path = episode.path();
    const discs = this.path.map(([x, y]) => ({ x, y, radius: 0 }));
    for (let frame = 0; frame < episode.frames; frame++) discs.push(...episode.goalsAt(frame));
    const known = discs.filter(({ x, y }) => Number.isFinite(x + y));
    const [left, bottom, right, top] = known.reduce(
      ([x0, y0, x1, y1], { x, y, radius: r }) =>
        [Math.min(x0, x - r), Math.min(y0, y - r), Math.max(x1, x + r), Math.max(y1, y + r)],
      [Infinity, Infinity, -Infinity, -Infinity],
    );
    this.middle = known.length ? [(left + right) / 2, (bottom + top) / 2] : [0, 0];
    this.extent = known.length ? [right - left, top - bottom].map((size) => Math.max(size, 0.1)) : [2, 2];
  }

  /** Sets where a place of the plane lies on the canvas, in CSS pixels. */
  frame() {
    const ratio = fitPixels(this.canvas);
    [this.width, this.height] = [this.canvas.width / ratio, this.canvas.height / ratio];
    const margin = 0.1 * Math.min(this.width, this.height) + 16;
    const room = [this.width, this.height].map((size) => Math.max(size - 2 * margin, 1));
    this.zoom = Math.min(room[0] / this.extent[0], room[1] / this.extent[1]);
    this.context.setTransform(ratio, 0, 0, ratio, 0, 0);
  }

  x(place) {
    return this.width / 2 + (place - this.middle[0]) * this.zoom;
  }

  y(place) {
    return this.height / 2 - (place - this.middle[1]) * this.zoom;
  }

  draw(moment) {
    this.frame();
    this.context.fillStyle = themed("sky");
    this.context.fillRect(0, 0, this.width, this.height);
    this.drawGrid();
    const success = this.episode.success[moment.frame];
    for (const goal of this.episode.goalsAt(moment.frame)) this.drawGoal(goal, success);
    this.drawPath(moment);
    for (const shape of this.shapes) this.drawPoint(shape, placed(shape, this.episode, moment).position);
  }

  drawGrid() {
    const { context, width, height } = this;
    const step = roundStep(110 / this.zoom);
    const digits = Math.max(0, -Math.floor(Math.log10(step) + 1e-9));
    const multiples = (middle, size) => {
      const reach = size / 2 / this.zoom;
      const [first, last] = [Math.ceil((middle - reach) / step), Math.floor((middle + reach) / step)];
      return Array.from({ length: last - first + 1 }, (_, index) => first + index);
    };
    context.font = "11px system-ui, sans-serif";
    for (const multiple of multiples(this.middle[0], width)) {
      this.drawGridLine(multiple, [this.x(multiple * step), 0], [this.x(multiple * step), height]);
      context.fillText((multiple * step).toFixed(digits), this.x(multiple * step) + 4, height - 6);
    }
    for (const multiple of multiples(this.middle[1], height)) {
      this.drawGridLine(multiple, [0, this.y(multiple * step)], [width, this.y(multiple * step)]);
      context.fillText((multiple * step).toFixed(digits), 6, this.y(multiple * step) - 4);
    }
  }

  drawGridLine(multiple, from, to) {
    this.context.strokeStyle = themed(multiple === 0 ? "muted" : "ground-dark");
    this.context.fillStyle = themed("muted");
    this.context.lineWidth = 1;
    this.context.beginPath();
    this.context.moveTo(...from);
    this.context.lineTo(...to);
    this.context.stroke();
  }

  drawGoal({ x, y, radius }, success) {
    const { context } = this;
    context.fillStyle = context.strokeStyle = themed(success ? "success" : "goal");
    context.lineWidth = 2;
    context.beginPath();
    context.arc(this.x(x), this.y(y), Math.max(radius * this.zoom, 4), 0, 2 * Math.PI);
    context.globalAlpha = 0.22;
    context.fill();
    context.globalAlpha = 1;
    context.stroke();
  }

  drawPath({ frame, share }) {
    const { context } = this;
    const { position } = this.episode.pose(0, { frame, share });
    const passed = [...this.path.slice(0, frame + 1), position].map(([x, y]) => [this.x(x), this.y(y)]);
    context.strokeStyle = context.fillStyle = themed("accent");
    context.lineWidth = 2;
    context.lineJoin = "round";
    context.beginPath();
    for (const point of passed) context.lineTo(...point);
    context.stroke();
    for (const [x, y] of passed.slice(0, -1)) {
      context.beginPath();
      context.arc(x, y, 2.2, 0, 2 * Math.PI);
      context.fill();
    }
  }

  drawPoint({ size, color }, [x, y]) {
    const { context } = this;
    context.fillStyle = css(color);
    context.strokeStyle = themed("panel");
    context.lineWidth = 2;
    context.beginPath();
    context.arc(this.x(x), this.y(y), Math.max(size[0] * this.zoom, 7), 0, 2 * Math.PI);
    context.fill();
    context.stroke();
  }
}

// --------------------------------------------------------------------------------------- reward's curve

/** The reward over time; its ends stand where the slider's thumb stands at its ends. */
function drawRewards(canvas, episode) {
  const context = canvas.getContext("2d");
  const ratio = fitPixels(canvas);
  context.setTransform(ratio, 0, 0, ratio, 0, 0);
  const [width, height] = [canvas.width / ratio, canvas.height / ratio];
  context.clearRect(0, 0, width, height);
  const known = episode.rewards.filter(Number.isFinite);
  const [low, high] = [Math.min(0, ...known), Math.max(0, ...known)];
  const x = (frame) => 7 + ((width - 14) * frame) / Math.max(episode.last, 1);
  const y = (reward) => height - 18 - ((height - 24) * (reward - low)) / (high - low || 1);
  canvas.setAttribute("aria-label", `Reward over time, between ${short(low)} and ${short(high)}`);

  const frames = [...episode.rewards.keys()];
  for (const [flags, colour] of [[episode.success, "success"], [episode.done, "ended"]]) {
    context.fillStyle = themed(colour);
    for (const frame of frames.filter((frame) => flags[frame])) {
      // Whole pixels, or neighbouring bars would overlap and show as stripes.
      const [left, right] = [-0.5, 0.5].map((side) => Math.round(x(frame + side)));
      context.globalAlpha = 0.16;
      context.fillRect(left, 4, right - left, height - 14);
      context.globalAlpha = 1;
      context.fillRect(left, height - 8, right - left, 2);
    }
  }
  context.fillStyle = themed("line");
  context.fillRect(x(0), y(0), x(episode.last) - x(0), 1);
  context.strokeStyle = themed("muted");
  context.lineWidth = 1.5;
  context.beginPath();
  for (const frame of frames.slice(1)) context.lineTo(x(frame), y(episode.rewards[frame])); // a reset earns none
  context.stroke();
}

function short(value) {
  if (!Number.isFinite(value)) return "–";
  return value.toFixed(Math.abs(value) >= 100 ? 1 : 3).replace("-", "−");
}

// ----------------------------------------------------------------------------------------------- player

const HOLD = 0.8; // seconds on the last frame before the episode starts again

class Player {
  constructor(record) {
    this.record = record;
    this.cursor = 0; // in frames
    this.speed = 1;
    this.calm = matchMedia("(prefers-reduced-motion: reduce)");
    this.select(0);
    this.scene = new (record.flat ? FlatScene : SpatialScene)(byId("view"), record, this.episode);
    this.scene.show(this.episode);
    this.fillControls();
    this.listen();
    this.readAddress();
  }

  fillControls() {
    document.documentElement.dataset.scene = this.record.flat ? "flat" : "spatial";
    byId("episode").append(...this.record.episodes.map(({ label }, index) => new Option(label, index)));
    byId("chooser").hidden = this.record.episodes.length < 2;
    byId("camera").hidden = this.record.flat;
  }

  listen() {
    const redraw = () => this.refresh();
    byId("play").addEventListener("click", () => this.play(!this.playing));
    byId("timeline").addEventListener("input", () => this.seek(byId("timeline").valueAsNumber));
    byId("speed").addEventListener("change", () => (this.speed = Number(byId("speed").value)));
    byId("episode").addEventListener("change", () => this.choose(Number(byId("episode").value)));
    byId("previous").addEventListener("click", () => this.choose(this.index - 1));
    byId("next").addEventListener("click", () => this.choose(this.index + 1));
    document.addEventListener("keydown", (event) => this.press(event));
    window.addEventListener("hashchange", () => this.readAddress());
    const colours = matchMedia("(prefers-color-scheme: dark)");
    colours.addEventListener("change", () => this.refresh({ curve: true }));
    // Painting at once, not in the next frame, never shows the old picture stretched to the new size.
    const sizes = new ResizeObserver(() => {
      this.curve = true;
      this.paint(0);
    });
    sizes.observe(byId("view"));
    sizes.observe(byId("rewards"));
    if (!this.record.flat) this.listenForCamera(this.scene.camera, redraw);
  }

  listenForCamera(camera, redraw) {
    const reset = () => {
      camera.reset();
      redraw();
    };
    steer(byId("view"), camera, redraw);
    byId("view").addEventListener("dblclick", reset);
    byId("reset").addEventListener("click", reset);
    byId("follow").addEventListener("click", () => {
      camera.following = !camera.following;
      byId("follow").setAttribute("aria-pressed", camera.following);
      this.refresh({ jump: true });
    });
  }

  press(event) {
    const { key, target } = event;
    const takesKeys = target.closest("select") || (target.closest("button") && key === " ");
    const actions = {
      " ": () => this.play(!this.playing),
      ArrowLeft: () => this.step(-1),
      ArrowRight: () => this.step(1),
      "[": () => this.choose(this.index - 1),
      "]": () => this.choose(this.index + 1),
    };
    if (event.ctrlKey || event.metaKey || event.altKey || takesKeys || !Object.hasOwn(actions, key)) return;
    event.preventDefault();
    actions[key]();
  }

  /** Starts as the address says, such as "#episode=1&frame=30&paused"; both are counted from 0. */
  readAddress() {
    const wishes = new URLSearchParams(location.hash.slice(1));
    const wished = (name) => Math.round(Number(wishes.get(name))) || 0;
    this.choose(clamp(wished("episode"), 0, this.record.episodes.length - 1));
    this.seek(wished("frame"));
    this.play(!wishes.has("paused") && !this.calm.matches);
  }

  select(index) {
    this.index = index;
    this.episode = new Episode(this.record.episodes[index]);
  }

  choose(index) {
    if (!this.record.episodes[index]) return;
    this.select(index);
    this.scene.show(this.episode);
    byId("episode").value = index;
    byId("previous").disabled = index === 0;
    byId("next").disabled = index === this.record.episodes.length - 1;
    byId("timeline").max = this.episode.last;
    this.cursor = 0;
    this.refresh({ curve: true, jump: true });
  }

  seek(frame) {
    this.cursor = clamp(frame, 0, this.episode.last);
    this.refresh({ jump: true });
  }

  step(frames) {
    this.play(false);
    this.seek(this.episode.moment(this.cursor).frame + frames);
  }

  play(playing) {
    this.playing = playing;
    document.documentElement.dataset.playing = playing ? "yes" : "no";
    byId("play").setAttribute("aria-label", playing ? "Pause" : "Play");
    this.refresh();
  }

  /** Asks for a frame. A jump moves the camera at once, curve draws the rewards again. */
  refresh({ jump = false, curve = false } = {}) {
    this.jump ||= jump;
    this.curve ||= curve;
    this.request ??= requestAnimationFrame((now) => this.tick(now));
  }

  tick(now) {
    this.request = undefined;
    // After a pause or in a hidden tab the clock ran on: that time was not played.
    const seconds = this.playing ? Math.min((now - (this.clock ?? now)) / 1000, 0.25) : 0;
    this.clock = this.playing ? now : undefined;
    this.advance(seconds);
    this.paint(seconds);
    if (this.playing) this.refresh();
  }

  paint(seconds) {
    try {
      this.scene.draw(this.episode.moment(this.cursor), this.jump ? Infinity : seconds);
      if (this.curve) drawRewards(byId("rewards"), this.episode);
      this.report();
      this.jump = this.curve = false;
      document.documentElement.dataset.state = "ready";
    } catch (error) {
      this.playing = false;
      fail(error);
    }
  }

  advance(seconds) {
    const hold = (HOLD * this.speed) / this.record.dt;
    this.cursor += (seconds * this.speed) / this.record.dt;
    if (this.cursor > this.episode.last + hold) {
      this.cursor = 0;
      this.jump = true;
    }
  }

  report() {
    const { frame, share } = this.episode.moment(this.cursor);
    const text = {
      seconds: `${((frame + share) * this.record.dt).toFixed(2)} s`,
      step: `${frame} / ${this.episode.last}`,
      reward: short(this.episode.rewards[frame]),
      return: short(this.episode.returns[frame]),
    };
    for (const [id, value] of Object.entries(text)) byId(id).textContent = value;
    byId("timeline").value = frame;
    byId("timeline").setAttribute("aria-valuetext", `Step ${frame}, ${text.seconds}`);
    byId("success").hidden = !this.episode.success[frame];
    byId("ended").hidden = !this.episode.done[frame];
  }
}

// ------------------------------------------------------------------------------------------------ start

function fail(error) {
  document.documentElement.dataset.state = "error";
  byId("message").textContent = error.message;
  byId("message").hidden = false;
}

try {
  const record = JSON.parse(byId("episodes").textContent);
  if (record.schema !== 1) throw new Error(`This page cannot read episodes of schema ${record.schema}.`);
  if (record.episodes.length === 0) throw new Error("No episode was recorded.");
  new Player(record);
} catch (error) {
  fail(error);
}
