// Episodes in the plane, on a 2-D canvas.

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
    this.paths = new Map(episode.parts.map((part) => [part, part.path()]));
    const { middle, half } = boxAround(episode.parts);
    this.middle = middle;
    this.extent = scaled(half, 2);
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
    const shown = this.episode.shown(moment);
    for (const ghost of shown) this.drawPath(ghost, shown.length === 1);
    for (const ghost of shown.filter(({ body }) => body)) {
      for (const shape of this.shapes) this.drawPoint(shape, ghost);
    }
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

  drawPath({ part, moment, look, strength, body }, isAlone) {
    const { context } = this;
    const { position } = part.pose(0, moment);
    const path = this.paths.get(part).slice(0, moment.frame + 1);
    const passed = [...path, position].map(([x, y]) => [this.x(x), this.y(y)]);
    context.strokeStyle = context.fillStyle = css(look);
    context.globalAlpha = strength;
    context.lineWidth = body ? 2 : part.found ? 1.8 : 1.2;
    context.lineJoin = "round";
    context.beginPath();
    for (const point of passed) context.lineTo(...point);
    context.stroke();
    const dots = isAlone ? passed.slice(0, -1) : body ? [] : passed.slice(-1);
    for (const [x, y] of dots) {
      context.beginPath();
      context.arc(x, y, 2.2, 0, 2 * Math.PI);
      context.fill();
    }
    context.globalAlpha = 1;
  }

  drawPoint(shape, { part, moment, look, number }) {
    const { context } = this;
    const { size, color } = shape;
    const [x, y] = placed(shape, part, moment).position;
    context.fillStyle = css(number === undefined ? color : look);
    context.strokeStyle = themed("panel");
    context.lineWidth = 2;
    context.beginPath();
    context.arc(this.x(x), this.y(y), Math.max(size[0] * this.zoom, 7), 0, 2 * Math.PI);
    context.fill();
    context.stroke();
    if (number === undefined) return;
    context.fillStyle = themed("ink");
    context.font = "11px system-ui, sans-serif";
    context.fillText(number, this.x(x) + 9, this.y(y) - 6);
  }
}
