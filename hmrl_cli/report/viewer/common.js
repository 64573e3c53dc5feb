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
