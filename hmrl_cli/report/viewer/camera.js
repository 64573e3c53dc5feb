// How the 3-D view is looked at: a camera that orbits, and the gestures that steer it.

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

  /** Looks at a place that stays, as of a film, or at body 0; from so far away. */
  aim(home, place) {
    this.home = home;
    this.following = place === undefined;
    if (place) this.anchor = place;
    this.steep = place !== undefined;
    this.reset();
  }

  reset() {
    this.azimuth = -1.1;
    this.elevation = this.steep ? 0.95 : 0.42;
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
