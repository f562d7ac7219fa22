// HedgefoxPlayer(element, data, settings): films of one scene side by side, one camera for all. `data` is what bench/play/film.py
// makes, its numbers as text or as arrays; `settings` are another player's, taken over.
// What is drawn is HedgefoxMatter's; here are the controls, the camera and the clock.
"use strict";
var HedgefoxPlayer = (() => {
  const { VIRIDIS, diverged, three3 } = HedgefoxMatter;
  const TITLES = { speed: ["speed", "m/s"], error: ["distance from the truth", "m"], material: ["", ""] };
  const SPEEDS = [0.05, 0.1, 0.25, 0.5, 1, 2];
  const MOST_ALIVE = 6; // a browser grants a page about 16 WebGL contexts
  const alive = [];

  function tag(name, attributes, ...children) {
    const made = document.createElement(name);
    for (const [key, value] of Object.entries(attributes)) made.setAttribute(key, value);
    made.append(...children);
    return made;
  }

  // ---- the player -----------------------------------------------------------------------------------------------------

  class Player {
    constructor(element, data, settings = {}) {
      this.element = element;
      this.data = data;
      this.frame = 0;
      this.between = 0; // how far on to the next frame, below 1
      this.clock = 0;
      this.playing = false;
      this.overlay = false;
      this.loop = true;
      this.speed = 0.5;
      this.colour = data.colour;
      for (const name of ["overlay", "loop", "speed"]) if (name in settings) this[name] = settings[name];
      if (settings.colour in data.scales) this.colour = settings.colour;
      this.spent = { updates: 0, update_ms: 0, draws: 0, draw_ms: 0, calls: 0 };
      this.onFrame = (now) => { this.waiting = false; this.tick(now); };
      this.page();
      this.seen = new IntersectionObserver((entries) => this.visible(entries.some((e) => e.isIntersecting)), { rootMargin: "200px" });
      this.seen.observe(element);
      this.scheme = matchMedia("(prefers-color-scheme: dark)");
      this.restyle = () => { this.ink = null; this.touch(); };
      this.scheme.addEventListener("change", this.restyle);
      this.themed = new MutationObserver(this.restyle);
      this.themed.observe(document.documentElement, { attributes: true });
      if (settings.playing) this.play();
    }

    // What another player may take over.
    settings() {
      const { overlay, loop, speed, colour, playing } = this;
      return { overlay, loop, speed, colour, playing };
    }

    // Leave the page; nothing is held afterwards.
    close() {
      this.pause();
      this.seen.disconnect();
      this.scheme.removeEventListener("change", this.restyle);
      this.themed.disconnect();
      if (this.renderer) this.release();
      if (this.controls) this.controls.dispose();
      this.element.replaceChildren();
    }

    // -- elements

    page() {
      const { data, element } = this;
      element.classList.add("hedgefox-player");
      element.setAttribute("role", "group");
      element.setAttribute("aria-label", `player: ${data.title}`);
      const parameters = Object.entries(data.parameters).map(([k, v]) => `${k} ${Number(v.toPrecision(3))}`).join(" · ");
      this.grid = tag("div", { class: "panels", tabindex: "0", role: "img", "aria-label":
        `${data.films.length} panels: ${data.films.map((f) => f.name).join(", ")}. Space plays, arrows step, shift with arrows turns, plus and minus zoom.` });
      this.grid.style.setProperty("--panels", Math.min(data.films.length, data.films.length === 4 ? 2 : 3));
      this.grid.classList.toggle("rows", data.films.length > 3);
      this.panels = data.films.map((film) => {
        const said = tag("span", { class: "diverged", hidden: "" }, film.diverged_at < 0 ? "" : `diverged at frame ${data.first_frame + film.diverged_at}`);
        const panel = tag("div", { class: "view" });
        this.grid.append(tag("div", { class: "panel" }, tag("div", { class: "name" }, film.name, tag("small", {}, film.kind), said), panel));
        return { panel, said };
      });
      this.stage = tag("div", { class: "stage" }, this.grid);
      element.replaceChildren(tag("h3", {}, data.title), ...(data.note ? [tag("p", { class: "note" }, data.note)] : []),
        this.stage, this.controlBar(), this.legend(), tag("p", { class: "parameters" }, `${data.domain}, ${data.nodes} nodes. ${parameters}`));
      element.addEventListener("keydown", (event) => this.key(event));
      this.tell();
    }

    button(label, words, act) {
      const made = tag("button", { type: "button", "aria-label": words, title: words }, label);
      made.addEventListener("click", act);
      return made;
    }

    select(words, choices, value, act) {
      const made = tag("select", { "aria-label": words, title: words },
        ...choices.map(([v, text]) => tag("option", v === value ? { value: v, selected: "" } : { value: v }, text)));
      made.addEventListener("change", () => act(made.value));
      return made;
    }

    controlBar() {
      const { data } = this;
      this.playButton = this.button("▶", "play", () => this.toggle());
      this.slider = tag("input", { type: "range", min: "0", max: String(data.frames - 1), step: "1", value: "0", "aria-label": "frame" });
      this.slider.addEventListener("input", () => { this.pause(); this.show(Number(this.slider.value)); });
      this.said = tag("output", { class: "time" });
      const colours = [["speed", "speed"], ...(data.truth === null ? [] : [["error", "error"]]), ["material", "material"]];
      this.loopButton = this.button("⟳", "loop", () => this.setLoop(!this.loop));
      this.loopButton.setAttribute("aria-pressed", String(this.loop));
      this.overlayButton = this.button("overlay truth", "overlay the truth", () => this.setOverlay(!this.overlay));
      this.overlayButton.setAttribute("aria-pressed", String(this.overlay));
      this.colourSelect = this.select("colour by", colours.map(([v, t]) => [v, `colour: ${t}`]), this.colour, (v) => this.setColour(v));
      return tag("div", { class: "controls" },
        this.playButton, this.button("◂", "one frame back", () => this.step(-1)), this.button("▸", "one frame on", () => this.step(1)),
        this.slider, this.said, this.loopButton,
        this.select("speed of play", SPEEDS.map((s) => [String(s), `${s}×`]), String(this.speed), (v) => { this.speed = Number(v); }),
        this.colourSelect,
        ...(data.truth === null || data.films.length < 2 ? [] : [this.overlayButton]),
        this.button("⌂", "reset the view", () => this.home()));
    }

    legend() {
      this.scaleWords = tag("span", {});
      this.scaleLow = tag("span", {});
      this.scaleHigh = tag("span", {});
      const bar = tag("span", { class: "bar", "aria-hidden": "true" });
      bar.style.background = `linear-gradient(to right, ${VIRIDIS.map((c) => `#${c}`).join(", ")})`;
      return tag("div", { class: "legend" }, this.scaleWords,
        tag("span", { class: "scale" }, this.scaleLow, bar, this.scaleHigh),
        ...(this.data.driven ? [tag("span", { class: "driven" }, "driven")] : []));
    }

    tell() {
      const { data } = this;
      const [what, unit] = this.colour === "material" ? [data.material.what, data.material.unit] : TITLES[this.colour];
      const [low, high] = data.scales[this.colour];
      this.scaleWords.textContent = `${what} [${unit}]`;
      this.scaleLow.textContent = Number(low.toPrecision(3));
      this.scaleHigh.textContent = (this.colour === "material" ? "" : "≥ ") + Number(high.toPrecision(3));
      this.slider.value = String(this.frame);
      const number = data.first_frame + this.frame;
      this.said.textContent = `frame ${number} / ${data.first_frame + data.frames - 1} · ${(number * data.interval).toFixed(2)} s`;
      this.slider.setAttribute("aria-valuetext", this.said.textContent);
      data.films.forEach((film, k) => { this.panels[k].said.hidden = !diverged(film, this.frame); });
    }

    // -- actions

    show(frame) {
      const last = this.data.frames - 1;
      this.frame = this.clock = Math.max(0, Math.min(last, frame));
      this.between = 0;
      this.touch();
    }
    step(by) { this.pause(); this.show(this.frame + by); }
    toggle() { if (this.playing) this.pause(); else this.play(); }
    play() {
      if (this.frame === this.data.frames - 1) this.show(0);
      this.playing = true;
      this.then = null;
      this.playButton.textContent = "❚❚";
      this.playButton.setAttribute("aria-label", "pause");
      this.wake();
    }
    // Stands still on a frame, never between two.
    pause() {
      this.playing = false;
      if (this.between) this.show(this.frame);
      this.playButton.textContent = "▶";
      this.playButton.setAttribute("aria-label", "play");
    }
    setLoop(on) { this.loop = on; this.loopButton.setAttribute("aria-pressed", String(on)); }
    setOverlay(on) { this.overlay = on; this.overlayButton.setAttribute("aria-pressed", String(on)); this.wake(true); }
    setColour(name) { this.colour = name; this.colourSelect.value = name; this.touch(); }

    key(event) {
      const onControl = /^(BUTTON|SELECT|INPUT)$/.test(event.target.tagName);
      if (event.ctrlKey || event.metaKey || event.altKey) return;
      const turns = { ArrowLeft: [-1, 0], ArrowRight: [1, 0], ArrowUp: [0, -1], ArrowDown: [0, 1] };
      const acts = {
        " ": () => this.toggle(), ArrowLeft: () => this.step(-1), ArrowRight: () => this.step(1),
        Home: () => this.step(-Infinity), End: () => this.step(Infinity), l: () => this.setLoop(!this.loop),
        o: () => this.data.truth !== null && this.setOverlay(!this.overlay),
        "+": () => this.zoom(1 / 1.15), "-": () => this.zoom(1.15), 0: () => this.home(),
      };
      let act = acts[event.key];
      if (event.shiftKey && turns[event.key]) act = () => this.turn(...turns[event.key]);
      // A control keeps the keys that are its own.
      if (!act || (onControl && /^( |Arrow|Home|End)/.test(event.key))) return;
      event.preventDefault();
      act();
    }

    // -- camera

    home() {
      if (!this.camera) return;
      const { data } = this;
      const { centre, radius } = this.extent();
      const flat = data.axes === 2;
      const way = flat ? [0, 0, 1] : [0.55, -0.95, 0.5];
      const length = Math.hypot(...way);
      this.reach = radius;
      this.fit();
      this.controls.target.set(...centre);
      this.camera.position.set(...way.map((w, k) => centre[k] + (w / length) * this.away));
      this.camera.near = radius / 100;
      this.camera.far = radius * 100;
      this.camera.updateProjectionMatrix();
      this.controls.update();
      this.wake(true);
    }

    // Distance at which a ball of the scene's radius fills a panel.
    fit() {
      const first = this.panels[0].panel;
      const aspect = (first.clientWidth || 4) / (first.clientHeight || 3);
      const half = (this.camera.fov * Math.PI) / 360;
      const narrow = Math.atan(Math.tan(half) * Math.min(1, aspect));
      this.away = this.reach / Math.sin(narrow);
    }

    // Where the matter of the first film is, with room around it: a box far larger than its matter is not looked at whole.
    extent() {
      const { data } = this;
      const film = data.films[data.truth === null ? 0 : data.truth];
      const low = three3(film.low), high = three3(film.high);
      const box = data.bounds.map((b) => three3(b));
      const size = (a, b) => Math.hypot(...a.map((v, k) => b[k] - v));
      const whole = size(box[0], box[1]) < 2.2 * size(low, high) || size(low, high) === 0;
      const [a, b] = whole ? box : [low, high];
      const aspect = (this.panels[0].panel.clientWidth || 4) / (this.panels[0].panel.clientHeight || 3);
      const flat = data.axes === 2;
      const radius = flat ? Math.max(b[1] - a[1], (b[0] - a[0]) / aspect) * 0.52 * Math.min(1, aspect) : size(a, b) * (whole ? 0.48 : 0.39);
      return { centre: a.map((v, k) => (v + b[k]) / 2), radius: radius || 1 };
    }

    turn(across, up) {
      if (!this.camera || this.data.axes === 2) return;
      const from = this.camera.position.clone().sub(this.controls.target);
      const side = new THREE.Vector3().crossVectors(this.camera.up, from).normalize();
      from.applyAxisAngle(this.camera.up, across * 0.12).applyAxisAngle(side, up * 0.12);
      this.camera.position.copy(this.controls.target).add(from);
      this.controls.update();
      this.wake(true);
    }

    zoom(by) {
      if (!this.camera) return;
      this.camera.position.sub(this.controls.target).multiplyScalar(by).add(this.controls.target);
      this.controls.update();
      this.wake(true);
    }

    // -- drawing

    visible(on) {
      this.inView = on;
      if (on && !this.renderer && !this.failed) this.build();
      if (on) this.wake(true);
    }

    build() {
      try {
        this.renderer = new THREE.WebGLRenderer({ antialias: true, alpha: true, preserveDrawingBuffer: false });
      } catch {
        this.failed = true;
        this.stage.append(tag("p", { class: "sorry" }, "This browser offers no WebGL, which the player draws with."));
        return;
      }
      this.renderer.autoClear = false;
      this.renderer.info.autoReset = false;
      this.renderer.setClearColor(0, 0);
      const canvas = this.renderer.domElement;
      canvas.setAttribute("aria-hidden", "true");
      this.stage.prepend(canvas);
      if (!this.drawn) this.prepare();
      this.resized = new ResizeObserver(() => { this.resize(); this.wake(true); });
      this.resized.observe(this.stage);
      alive.push(this);
      if (alive.length > MOST_ALIVE) (alive.find((p) => !p.inView) || alive[0]).release();
      this.resize();
      this.home();
      this.touch();
    }

    // Give the context back; the next time that the player is seen it builds another.
    release() {
      alive.splice(alive.indexOf(this), 1);
      this.resized.disconnect();
      this.renderer.domElement.remove();
      this.renderer.dispose();
      this.renderer.forceContextLoss();
      this.renderer = null;
    }

    prepare() {
      const { data } = this;
      ({ films: this.drawn, around: this.around } = HedgefoxMatter.build(data));
      this.camera = new THREE.PerspectiveCamera(35, 1, 0.01, 100);
      this.camera.up.set(...(data.axes === 2 ? [0, 1, 0] : [0, 0, 1]));
      this.controls = new THREE.OrbitControls(this.camera, this.grid);
      this.controls.enableRotate = data.axes === 3;
      this.controls.enableZoom = false; // a page must scroll: the wheel zooms once the player has the focus
      if (data.axes === 2) { this.controls.mouseButtons.LEFT = 2; this.controls.touches.ONE = 1; }
      this.grid.style.touchAction = "pan-y";
      this.grid.addEventListener("pointerdown", () => this.grid.focus({ preventScroll: true }));
      this.grid.addEventListener("focus", () => { this.controls.enableZoom = true; });
      this.grid.addEventListener("blur", () => { this.controls.enableZoom = false; });
      this.controls.addEventListener("change", () => this.wake(true));
    }

    resize() {
      const ratio = Math.min(devicePixelRatio || 1, 2);
      this.renderer.setPixelRatio(ratio);
      this.renderer.setSize(this.stage.clientWidth, this.stage.clientHeight, false);
      const { panel } = this.panels[0], height = this.stage.clientHeight;
      this.boxes = this.panels.map(({ panel: p }) => [p.offsetLeft, height - p.offsetTop - p.clientHeight, p.clientWidth, p.clientHeight]);
      this.camera.aspect = (panel.clientWidth || 4) / (panel.clientHeight || 3);
      this.camera.updateProjectionMatrix();
      for (const { matter } of this.drawn) {
        for (const o of [...matter.objects, ...matter.ghosts]) {
          if (o.material.uniforms) o.material.uniforms.height.value = panel.clientHeight * ratio;
        }
      }
    }

    // A frame is to be computed and drawn anew.
    touch() { this.stale = true; this.tell(); this.wake(true); }

    wake(draw) {
      if (draw) this.dirty = true;
      if (this.waiting || !this.inView || !this.renderer) return;
      this.waiting = true;
      requestAnimationFrame(this.onFrame);
    }

    tick(now) {
      if (!this.renderer || !this.inView) { this.then = null; return; }
      if (this.playing) this.advance(now);
      if (this.stale) this.update();
      if (this.dirty) this.draw();
      if (this.playing) this.wake();
    }

    advance(now) {
      const passed = this.then === null || this.then === undefined ? 0 : Math.min((now - this.then) / 1000, 0.25);
      this.then = now;
      this.clock += (passed * this.speed) / this.data.interval;
      const last = this.data.frames - 1;
      if (this.clock > last + 1) {
        if (this.loop) this.clock %= last + 1;
        else { this.clock = last; this.pause(); }
      }
      const frame = Math.min(Math.floor(this.clock), last);
      this.between = this.playing && frame < last ? this.clock - frame : 0;
      this.stale = this.dirty = true;
      if (frame === this.frame) return;
      this.frame = frame;
      this.tell();
    }

    update() {
      const started = performance.now();
      const { frame, between, colour } = this;
      for (const { film, matter } of this.drawn) {
        const shown = !diverged(film, frame);
        for (const o of matter.objects) o.visible = shown;
        for (const o of matter.ghosts) o.visible = shown;
        if (shown) matter.update(frame, between, colour);
      }
      this.around.update(frame, between);
      this.stale = false;
      this.spent.updates += 1;
      this.spent.update_ms += performance.now() - started;
    }

    draw() {
      const started = performance.now();
      const { renderer, data, drawn, boxes } = this;
      if (!this.ink) {
        this.ink = getComputedStyle(this.element).color;
        this.around.lines.material.color.setStyle(this.ink);
      }
      renderer.info.reset();
      renderer.setScissorTest(false);
      renderer.clear();
      renderer.setScissorTest(true);
      for (let k = 0; k < drawn.length; k++) {
        renderer.setViewport(...boxes[k]);
        renderer.setScissor(...boxes[k]);
        renderer.render(drawn[k].scene, this.camera);
        if (this.overlay && data.truth !== null && k !== data.truth) renderer.render(drawn[data.truth].ghosts, this.camera);
        renderer.render(this.around.scene, this.camera);
      }
      this.dirty = false;
      this.spent.draws += 1;
      this.spent.calls = renderer.info.render.calls;
      this.spent.draw_ms += performance.now() - started;
    }
  }

  function HedgefoxPlayer(element, data, settings) {
    return new Player(element, data, settings);
  }

  // Every element with data-hedgefox-player="ID" plays the data in the script element of that id.
  HedgefoxPlayer.all = () => Array.from(document.querySelectorAll("[data-hedgefox-player]"), (element) => {
    const source = document.getElementById(element.dataset.hedgefoxPlayer);
    element.hedgefoxPlayer = HedgefoxPlayer(element, JSON.parse(source.textContent));
    return element.hedgefoxPlayer;
  });
  return HedgefoxPlayer;
})();
