// Episodes in 3-D, with WebGL.

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
