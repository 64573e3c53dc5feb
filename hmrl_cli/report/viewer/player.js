// The controls, the clock and the reward over time.

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
    this.films = record.films ?? [];
    this.count = record.episodes.length + this.films.length;
    this.select(this.films.length ? record.episodes.length : 0);
    this.scene = new (record.flat ? FlatScene : SpatialScene)(byId("view"), record, this.episode);
    this.scene.show(this.episode);
    this.fillControls();
    this.listen();
    this.readAddress();
  }

  fillControls() {
    document.documentElement.dataset.scene = this.record.flat ? "flat" : "spatial";
    const { episodes } = this.record;
    const films = this.films.map(({ label }, index) => new Option(label, episodes.length + index));
    byId("episode").append(...films, ...episodes.map(({ label }, index) => new Option(label, index)));
    byId("chooser").hidden = this.count < 2;
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
    this.choose(wishes.has("episode") ? clamp(wished("episode"), 0, this.count - 1) : this.index);
    this.seek(wished("frame"));
    this.play(!wishes.has("paused") && !this.calm.matches);
  }

  select(index) {
    this.index = index;
    const { episodes, dt } = this.record;
    const film = this.films[index - episodes.length];
    const part = (one) => (typeof one === "number" ? new Episode(episodes[one], dt) : new Episode(one, film.dt));
    this.episode = film ? new Film(film, film.episodes.map(part)) : new Episode(episodes[index], dt);
  }

  choose(index) {
    if (!(index >= 0 && index < this.count)) return;
    this.select(index);
    this.scene.show(this.episode);
    byId("episode").value = index;
    byId("previous").disabled = index === 0;
    byId("next").disabled = index === this.count - 1;
    if (!this.record.flat) byId("follow").setAttribute("aria-pressed", this.scene.camera.following);
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
    const { dt, pace } = this.episode;
    const hold = (HOLD * pace * this.speed) / dt;
    this.cursor += (seconds * pace * this.speed) / dt;
    if (this.cursor > this.episode.last + hold) {
      this.cursor = 0;
      this.jump = true;
    }
  }

  report() {
    const moment = this.episode.moment(this.cursor);
    const { frame } = moment;
    const { seconds, step } = this.episode.where(moment);
    const text = {
      seconds: `${seconds.toFixed(2)} s`,
      step,
      reward: short(this.episode.rewards[frame]),
      return: short(this.episode.returns[frame]),
    };
    for (const [id, value] of Object.entries(text)) byId(id).textContent = value;
    byId("timeline").value = frame;
    byId("timeline").setAttribute("aria-valuetext", `Step ${frame}, ${text.seconds}`);
    byId("success").hidden = !this.episode.success[frame];
    byId("ended").hidden = !this.episode.done[frame];
    this.fillLegend(this.episode.legend?.(moment) ?? []);
  }

  /** What the colours of a film mean; written anew only where it differs. */
  fillLegend(entries) {
    const told = JSON.stringify(entries);
    if (told === this.told) return;
    this.told = told;
    byId("legend").hidden = entries.length === 0;
    byId("legend").replaceChildren(
      ...entries.map(([colour, text]) => {
        const entry = document.createElement("li");
        const swatch = document.createElement("span");
        swatch.style.background = css(colour);
        entry.append(swatch, text);
        return entry;
      }),
    );
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
