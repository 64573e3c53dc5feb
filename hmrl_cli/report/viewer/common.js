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
  constructor(record, dt) {
    this.dt = dt;
    this.parts = [this];
    this.pace = 1;
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
    this.found = this.success.some(Boolean);
  }

  /** What is seen at a moment: parts up to a frame, each as a track, and as a body where it has one. */
  shown(moment) {
    return [{ part: this, moment, look: themedRgb("accent"), strength: 1, body: true }];
  }

  where({ frame, share }) {
    return { seconds: (frame + share) * this.dt, step: `${frame} / ${this.last}` };
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

/** Many episodes as ghosts in one scene: one after the other, or all at once. */
class Film {
  constructor({ order, label }, parts) {
    this.atOnce = order === "at once";
    this.label = label;
    this.parts = parts;
    this.dt = parts[0].dt;
    this.starts = [];
    let frames = 0;
    for (const part of parts) {
      this.starts.push(this.atOnce ? 0 : frames);
      frames += part.frames;
    }
    this.frames = this.atOnce ? Math.max(...parts.map((part) => part.frames)) : frames;
    this.last = this.frames - 1;
    // One after the other, an episode lasts a second.
    this.pace = this.atOnce ? 1 : Math.max(1, (frames / parts.length) * this.dt);
    const joined = (name) => parts.flatMap((part) => part[name]);
    const mean = (name) =>
      Array.from({ length: this.frames }, (_, frame) => {
        const known = parts.filter((part) => frame < part.frames).map((part) => part[name][frame]);
        return known.reduce((sum, value) => sum + value, 0) / known.length;
      });
    this.rewards = this.atOnce ? mean("rewards") : joined("rewards");
    this.returns = this.atOnce ? mean("returns") : joined("returns");
    this.success = this.atOnce ? Array(this.frames).fill(false) : joined("success");
    this.done = this.atOnce ? Array(this.frames).fill(false) : joined("done");
  }

  moment(cursor) {
    const frame = clamp(Math.floor(cursor), 0, this.last);
    return { frame, share: frame < this.last ? cursor - frame : 0 };
  }

  /** The number of the part that a frame is of; the first one where all are. */
  number(frame) {
    return this.atOnce ? 0 : this.starts.findLastIndex((start) => start <= frame);
  }

  /** The moment of a part at a moment of the film. */
  within(number, { frame, share }) {
    const local = Math.min(frame - this.starts[number], this.parts[number].last);
    return { frame: local, share: local < this.parts[number].last ? share : 0 };
  }

  pose(body, moment) {
    const number = this.number(moment.frame);
    return this.parts[number].pose(body, this.within(number, moment));
  }

  goalsAt(frame) {
    const number = this.number(frame);
    return this.parts[number].goalsAt(this.within(number, { frame, share: 0 }).frame);
  }

  shown(moment) {
    const count = this.parts.length;
    if (this.atOnce) {
      return this.parts.map((part, number) => {
        const look = ghostColour(number, count);
        return { part, moment: this.within(number, moment), look, strength: 0.9, body: true, number };
      });
    }
    const now = this.number(moment.frame);
    const [met, notMet] = ["success", "muted"].map(themedRgb);
    const earlier = this.parts.slice(0, now).map((part) => {
      const look = part.found ? met : notMet;
      return { part, moment: part.moment(part.last), look, strength: part.found ? 0.7 : 0.3, body: false };
    });
    return [...earlier, ...this.parts[now].shown(this.within(now, moment))];
  }

  where(moment) {
    const number = this.number(moment.frame);
    const { seconds, step } = this.parts[number].where(this.within(number, moment));
    return { seconds, step: this.atOnce ? step : `${number + 1} / ${this.parts.length} episodes` };
  }

  /** The names of the looks, as [colour, text]. */
  legend({ frame }) {
    if (this.atOnce) return this.parts.map((_, number) => [ghostColour(number, this.parts.length), number]);
    const earlier = this.parts.slice(0, this.number(frame));
    const found = earlier.filter((part) => part.found).length;
    return [
      [themedRgb("accent"), "this episode"],
      [themedRgb("success"), `earlier, goal met: ${found}`],
      [themedRgb("muted"), `earlier, not met: ${earlier.length - found}`],
    ];
  }
}

/** Okabe and Ito's colours, or shades from dark to light where they are too few. */
function ghostColour(number, count) {
  const few = ["0072b2", "d55e00", "009e73", "cc79a7", "e69f00", "56b4e9", "5a6675", "882255", "665500"];
  const shades = ["440154", "3b528b", "21918c", "5ec962", "fde725"];
  const rgb = (hex) => [0, 2, 4].map((at) => parseInt(hex.slice(at, at + 2), 16) / 255);
  if (count <= few.length) return rgb(few[number]);
  const place = ((shades.length - 1) * number) / (count - 1);
  const below = Math.min(Math.floor(place), shades.length - 2);
  const [from, to] = [rgb(shades[below]), rgb(shades[below + 1])];
  return from.map((value, axis) => mix(value, to[axis], place - below));
}

/** The box around the paths and goals of some parts: its middle and half its size. */
function boxAround(parts) {
  const discs = parts.flatMap((part) => [
    ...part.path().map(([x, y]) => ({ x, y, radius: 0 })),
    ...Array.from({ length: part.frames }, (_, frame) => part.goalsAt(frame)).flat(),
  ]);
  const known = discs.filter(({ x, y }) => Number.isFinite(x + y));
  if (!known.length) return { middle: [0, 0], half: [1, 1] };
  const [left, bottom, right, top] = known.reduce(
    ([x0, y0, x1, y1], { x, y, radius: r }) =>
      [Math.min(x0, x - r), Math.min(y0, y - r), Math.max(x1, x + r), Math.max(y1, y + r)],
    [Infinity, Infinity, -Infinity, -Infinity],
  );
  const half = [right - left, top - bottom].map((size) => Math.max(size, 0.1) / 2);
  return { middle: [(left + right) / 2, (bottom + top) / 2], half };
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
