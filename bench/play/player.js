// HedgefoxPlayer(element, data, settings): films of one scene side by side, one camera for all. `data` is what bench/play/film.py
// makes, its numbers as text or as arrays; `settings` are another player's, taken over.
// Plain functions over typed arrays; nothing is allocated while a film plays.
"use strict";
var HedgefoxPlayer = (() => {
  const VIRIDIS = ["440154", "482878", "3e4989", "31688e", "26828e", "1f9e89", "35b779", "6ece58", "b5de2b", "fde725"];
  const TITLES = { speed: ["speed", "m/s"], error: ["distance from the truth", "m"], material: ["", ""] };
  const SPEEDS = [0.05, 0.1, 0.25, 0.5, 1, 2];
  const MOST_ALIVE = 6; // a browser grants a page about 16 WebGL contexts
  const GONE = 65535;
  const alive = [];

  const bytes = (text) => Uint8Array.from(atob(text), (c) => c.charCodeAt(0));
  const numbers = (held, Kind) => (!held ? null : held instanceof Kind ? held : new Kind(bytes(held).buffer));
  const linear = (v) => (v <= 0.04045 ? v / 12.92 : ((v + 0.055) / 1.055) ** 2.4);

  // 256 colours of the scale, in linear light, as three.js wants them.
  const PALETTE = (() => {
    const found = new Float32Array(256 * 3);
    for (let i = 0; i < 256; i++) {
      const at = (i / 255) * (VIRIDIS.length - 1), k = Math.min(Math.floor(at), VIRIDIS.length - 2);
      for (let c = 0; c < 3; c++) {
        const [a, b] = [k, k + 1].map((j) => parseInt(VIRIDIS[j].slice(2 * c, 2 * c + 2), 16) / 255);
        found[3 * i + c] = linear(a + (b - a) * (at - k));
      }
    }
    return found;
  })();

  const POINTS_VERTEX = `
    uniform float radius; uniform float height; varying vec3 tint; varying float depth; attribute vec3 color;
    void main() {
      tint = color;
      vec4 seen = modelViewMatrix * vec4(position, 1.0);
      gl_Position = projectionMatrix * seen;
      gl_PointSize = max(2.0, height * projectionMatrix[1][1] * radius / -seen.z);
    }`;
  const POINTS_FRAGMENT = `
    uniform float opacity; uniform vec3 plain; uniform float isPlain; varying vec3 tint;
    void main() {
      vec2 at = 2.0 * gl_PointCoord - 1.0; float away = dot(at, at);
      if (away > 1.0) discard;
      float light = 0.45 + 0.55 * clamp(dot(vec3(at.x, -at.y, sqrt(1.0 - away)), normalize(vec3(-0.4, 0.6, 0.9))), 0.0, 1.0);
      gl_FragColor = vec4(mix(tint, plain, isPlain) * light, opacity);
      #include <colorspace_fragment>
    }`;

  function tag(name, attributes, ...children) {
    const made = document.createElement(name);
    for (const [key, value] of Object.entries(attributes)) made.setAttribute(key, value);
    made.append(...children);
    return made;
  }

  // ---- matter: what a film is drawn as -------------------------------------------------------------------------------

  function decode(data) {
    const films = data.films.map((film) => ({
      ...film,
      levels: numbers(film.position, Uint16Array),
      poses: numbers(film.pose, Float32Array),
    }));
    return {
      films,
      driven: numbers(data.driven, Uint8Array),
      mass: numbers(data.mass, Float32Array),
      faces: numbers(data.faces, Uint32Array),
      body: numbers(data.body, Int32Array),
      obstacles: numbers(data.obstacle_position, Float32Array),
      boxOffset: numbers(data.box_offset, Float32Array),
    };
  }

  function lit(scene) {
    scene.add(new THREE.HemisphereLight(0xffffff, 0xaaaaaa, 2.7));
    const sun = new THREE.DirectionalLight(0xffffff, 2.0);
    sun.position.set(-0.5, -0.8, 1);
    scene.add(sun);
    return scene;
  }

  function pointsMaterial(data, ghost) {
    return new THREE.ShaderMaterial({
      vertexShader: POINTS_VERTEX,
      fragmentShader: POINTS_FRAGMENT,
      uniforms: {
        radius: { value: data.radius * 1.1 },
        height: { value: 1 },
        opacity: { value: ghost ? 0.35 : 1 },
        plain: { value: new THREE.Color(0x808080) },
        isPlain: { value: ghost ? 1 : 0 },
      },
      transparent: ghost,
      depthWrite: !ghost,
    });
  }

  function solidMaterial(ghost) {
    return new THREE.MeshLambertMaterial(
      ghost
        ? { color: 0x808080, transparent: true, opacity: 0.4, side: THREE.DoubleSide, depthWrite: false }
        : { color: 0xffffff, side: THREE.DoubleSide });
  }

  // A film drawn as particles or as a sheet: positions and colours of its nodes go straight to the buffers.
  function nodeMatter(data, parts) {
    const geometry = new THREE.BufferGeometry();
    const place = new Float32Array(3 * data.nodes), colour = new Float32Array(3 * data.nodes);
    for (const [name, values] of [["position", place], ["color", colour]]) {
      geometry.setAttribute(name, new THREE.BufferAttribute(values, 3).setUsage(THREE.DynamicDrawUsage));
    }
    const sheet = parts.faces !== null;
    if (sheet) {
      geometry.setIndex(new THREE.BufferAttribute(parts.faces, 1));
      geometry.setAttribute("normal", new THREE.BufferAttribute(new Float32Array(3 * data.nodes), 3).setUsage(THREE.DynamicDrawUsage));
    }
    const kinds = [false, true].map((ghost) => {
      const made = sheet
        ? new THREE.Mesh(geometry, Object.assign(solidMaterial(ghost), ghost ? {} : { vertexColors: true }))
        : new THREE.Points(geometry, pointsMaterial(data, ghost));
      made.frustumCulled = false;
      return made;
    });
    const update = (where, tints) => {
      place.set(where);
      colour.set(tints);
      geometry.attributes.position.needsUpdate = geometry.attributes.color.needsUpdate = true;
      if (sheet) sheetNormals(place, parts.faces, geometry.attributes.normal);
    };
    return { objects: [kinds[0]], ghosts: [kinds[1]], update };
  }

  // Area-weighted normals of the nodes of a triangle mesh.
  function sheetNormals(p, faces, attribute) {
    const n = attribute.array;
    n.fill(0);
    for (let f = 0; f < faces.length; f += 3) {
      const a = 3 * faces[f], b = 3 * faces[f + 1], c = 3 * faces[f + 2];
      const ux = p[b] - p[a], uy = p[b + 1] - p[a + 1], uz = p[b + 2] - p[a + 2];
      const vx = p[c] - p[a], vy = p[c + 1] - p[a + 1], vz = p[c + 2] - p[a + 2];
      const x = uy * vz - uz * vy, y = uz * vx - ux * vz, z = ux * vy - uy * vx;
      n[a] += x; n[a + 1] += y; n[a + 2] += z;
      n[b] += x; n[b + 1] += y; n[b + 2] += z;
      n[c] += x; n[c + 1] += y; n[c + 2] += z;
    }
    for (let i = 0; i < n.length; i += 3) {
      const length = Math.hypot(n[i], n[i + 1], n[i + 2]) || 1;
      n[i] /= length; n[i + 1] /= length; n[i + 2] /= length;
    }
    attribute.needsUpdate = true;
  }

  function solidGeometry(solid) {
    if (solid.shape === "box") return new THREE.BoxGeometry(2, 2, 2);
    if (solid.shape === "ball") return new THREE.SphereGeometry(1, 28, 18);
    // three.js draws capsules along y; ours lie along z.
    return new THREE.CapsuleGeometry(solid.size[0], 2 * solid.size[1], 10, 24).rotateX(Math.PI / 2);
  }

  const solidScale = (solid) =>
    solid.shape === "box" ? solid.size : Array(3).fill(solid.shape === "ball" ? solid.size[0] : 1);

  // Bodies as instanced solids, one batch a geometry; a body has the mean colour of its nodes.
  function bodyMatter(data, parts) {
    const batches = new Map();
    data.solids.forEach((solid) => {
      const key = solid.shape === "capsule" ? `capsule ${solid.size}` : solid.shape;
      if (!batches.has(key)) batches.set(key, []);
      batches.get(key).push(solid);
    });
    const objects = [], ghosts = [], jobs = [];
    for (const solids of batches.values()) {
      const geometry = solidGeometry(solids[0]);
      const [mesh, ghost] = [false, true].map((g) => new THREE.InstancedMesh(geometry, solidMaterial(g), solids.length));
      mesh.instanceColor = new THREE.InstancedBufferAttribute(new Float32Array(3 * solids.length), 3);
      ghost.instanceMatrix = mesh.instanceMatrix;
      mesh.frustumCulled = ghost.frustumCulled = false;
      objects.push(mesh); ghosts.push(ghost); jobs.push({ mesh, solids });
    }
    const nBodies = 1 + Math.max(...data.solids.map((s) => s.body));
    const sum = new Float32Array(3 * nBodies), count = new Float32Array(nBodies);
    for (const b of parts.body) if (b >= 0) count[b] += 1;
    const update = (where, tints, poses, frame) => {
      sum.fill(0);
      parts.body.forEach((b, i) => { if (b >= 0) for (let c = 0; c < 3; c++) sum[3 * b + c] += tints[3 * i + c] / count[b]; });
      for (const { mesh, solids } of jobs) solids.forEach((solid, i) => placeSolid(mesh, i, solid, poses, frame * nBodies, sum));
    };
    return { objects, ghosts, update };
  }

  const scratch = () => ({ p: new THREE.Vector3(), q: new THREE.Quaternion(), s: new THREE.Vector3(), m: new THREE.Matrix4(), n: new THREE.Matrix4() });
  let held = null;

  function placeSolid(mesh, index, solid, poses, row, colours) {
    held = held || scratch();
    const at = 7 * (row + solid.body), own = solid.pose, scale = solidScale(solid);
    held.m.compose(held.p.fromArray(poses, at), held.q.fromArray(poses, at + 3), held.s.set(1, 1, 1));
    held.n.compose(held.p.fromArray(own), held.q.fromArray(own, 3), held.s.fromArray(scale));
    mesh.setMatrixAt(index, held.m.multiply(held.n));
    mesh.instanceMatrix.needsUpdate = true;
    for (let c = 0; c < 3; c++) mesh.instanceColor.array[3 * index + c] = colours[3 * solid.body + c];
    mesh.instanceColor.needsUpdate = true;
  }

  // ---- what stands still, or moves by script --------------------------------------------------------------------------

  const three3 = (row, fill = 0) => [row[0], row[1], row.length > 2 ? row[2] : fill];

  function surroundings(data, parts) {
    const scene = lit(new THREE.Scene()), group = new THREE.Group();
    const low = three3(data.bounds[0]), high = three3(data.bounds[1]);
    const size = high.map((v, k) => v - low[k]);
    const box = new THREE.EdgesGeometry(new THREE.BoxGeometry(...size));
    const lines = new THREE.LineSegments(box, new THREE.LineBasicMaterial({ transparent: true, opacity: 0.55 }));
    lines.position.set(...low.map((v, k) => v + size[k] / 2));
    group.add(lines);
    scene.add(group);
    const obstacles = data.obstacles.map((o) => obstacle(o, data));
    obstacles.forEach((o) => scene.add(o));
    const axes = data.axes;
    const update = (frame) => {
      const off = parts.boxOffset;
      if (off) group.position.set(off[frame * axes], off[frame * axes + 1], axes > 2 ? off[frame * axes + 2] : 0);
      obstacles.forEach((o, i) => {
        const at = (frame * obstacles.length + i) * axes, c = parts.obstacles;
        o.position.set(c[at], c[at + 1], axes > 2 ? c[at + 2] : 0);
      });
    };
    return { scene, lines, update };
  }

  function obstacle(o, data) {
    const size = three3(o.size, 0.2 * o.size[0]);
    const geometry = o.shape === "box" ? new THREE.BoxGeometry(...size.map((v) => 2 * v)) : new THREE.SphereGeometry(o.size[0], 36, 24);
    const material = new THREE.MeshLambertMaterial({ color: 0x9a6b3f, transparent: true, opacity: 0.55, depthWrite: false });
    const made = new THREE.Mesh(geometry, material);
    if (data.axes === 2) made.scale.z = o.shape === "box" ? 1 : 0.02;
    return made;
  }

  // ---- numbers of a frame ---------------------------------------------------------------------------------------------

  // Positions (N, 3) [m] of a film at a frame, into `into`.
  function placesAt(film, data, frame, into) {
    const d = data.axes, start = frame * data.nodes * d;
    const [l0, l1, l2] = [film.low[0], film.low[1], film.low[2]], [s0, s1, s2] = film.step;
    for (let i = 0, at = start; i < data.nodes; i++, at += d) {
      into[3 * i] = l0 + s0 * film.levels[at];
      into[3 * i + 1] = l1 + s1 * film.levels[at + 1];
      into[3 * i + 2] = d > 2 ? l2 + s2 * film.levels[at + 2] : 0;
    }
  }

  // Distances (N,) [m] between two sets of positions, by the shortest way where an axis is periodic.
  function distances(a, b, period, into) {
    const [px, py] = period, pz = period.length > 2 ? period[2] : 0;
    for (let i = 0, k = 0; i < into.length; i++, k += 3) {
      let x = a[k] - b[k], y = a[k + 1] - b[k + 1], z = a[k + 2] - b[k + 2];
      if (px) x -= px * Math.round(x / px);
      if (py) y -= py * Math.round(y / py);
      if (pz) z -= pz * Math.round(z / pz);
      into[i] = Math.sqrt(x * x + y * y + z * z);
    }
  }

  function tint(values, low, high, into) {
    const range = high > low ? 255 / (high - low) : 0;
    for (let i = 0; i < values.length; i++) {
      let k = range ? Math.round((values[i] - low) * range) : 128;
      k = 3 * (k < 0 ? 0 : k > 255 ? 255 : k);
      into[3 * i] = PALETTE[k]; into[3 * i + 1] = PALETTE[k + 1]; into[3 * i + 2] = PALETTE[k + 2];
    }
  }

  // Driven nodes are marked: orange, which the scale does not hold.
  function markDriven(driven, into) {
    if (!driven) return;
    for (let i = 0; i < driven.length; i++) {
      if (driven[i]) { into[3 * i] = 0.9; into[3 * i + 1] = 0.2; into[3 * i + 2] = 0.02; }
    }
  }

  const diverged = (film, frame) => film.diverged_at >= 0 && frame >= film.diverged_at;

  // ---- the player -----------------------------------------------------------------------------------------------------

  class Player {
    constructor(element, data, settings = {}) {
      this.element = element;
      this.data = data;
      this.frame = 0;
      this.clock = 0;
      this.playing = false;
      this.overlay = false;
      this.loop = true;
      this.speed = 0.5;
      this.colour = data.colour;
      for (const name of ["overlay", "loop", "speed"]) if (name in settings) this[name] = settings[name];
      if (settings.colour in data.scales) this.colour = settings.colour;
      this.spent = { updates: 0, update_ms: 0, draws: 0, draw_ms: 0 };
      this.page();
      this.seen = new IntersectionObserver((entries) => this.visible(entries.some((e) => e.isIntersecting)), { rootMargin: "200px" });
      this.seen.observe(element);
      this.scheme = matchMedia("(prefers-color-scheme: dark)");
      this.restyle = () => this.touch();
      this.scheme.addEventListener("change", this.restyle);
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
      this.frame = Math.max(0, Math.min(last, frame));
      this.clock = this.frame;
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
    pause() {
      this.playing = false;
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
      this.renderer.setClearColor(0, 0);
      const canvas = this.renderer.domElement;
      canvas.setAttribute("aria-hidden", "true");
      this.stage.prepend(canvas);
      if (!this.parts) this.prepare();
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
      this.parts = decode(data);
      this.around = surroundings(data, this.parts);
      const bodies = data.solids.length > 0;
      this.drawn = this.parts.films.map((film) => {
        const matter = bodies && film.poses ? bodyMatter(data, this.parts) : nodeMatter(data, this.parts);
        const scene = lit(new THREE.Scene()), ghosts = lit(new THREE.Scene());
        matter.objects.forEach((o) => scene.add(o));
        matter.ghosts.forEach((o) => ghosts.add(o));
        return { film, matter, scene, ghosts };
      });
      const room = () => new Float32Array(3 * data.nodes);
      this.room = { now: room(), before: room(), truth: room(), tints: room(), values: new Float32Array(data.nodes) };
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
      const { panel } = this.panels[0];
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
      requestAnimationFrame((now) => { this.waiting = false; this.tick(now); });
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
      if (frame !== this.frame) {
        this.frame = frame;
        this.stale = this.dirty = true;
        this.tell();
      }
    }

    update() {
      const started = performance.now();
      const { data, room, frame } = this;
      if (data.truth !== null) placesAt(this.parts.films[data.truth], data, frame, room.truth);
      for (const { film, matter, scene, ghosts } of this.drawn) {
        const shown = !diverged(film, frame);
        for (const o of [...matter.objects, ...matter.ghosts]) o.visible = shown;
        if (!shown) continue;
        placesAt(film, data, frame, room.now);
        this.values(film);
        tint(room.values, ...data.scales[this.colour], room.tints);
        markDriven(this.parts.driven, room.tints);
        matter.update(room.now, room.tints, film.poses, frame);
      }
      this.around.update(frame);
      this.stale = false;
      this.spent.updates += 1;
      this.spent.update_ms += performance.now() - started;
    }

    values(film) {
      const { data, room, frame } = this;
      if (this.colour === "material") room.values.set(this.parts.mass);
      else if (this.colour === "error") distances(room.now, room.truth, data.period, room.values);
      else {
        // The mean speed since the frame before; of the first frame, until the next.
        placesAt(film, data, frame ? frame - 1 : Math.min(1, data.frames - 1), room.before);
        distances(room.now, room.before, data.period, room.values);
        for (let i = 0; i < room.values.length; i++) room.values[i] /= data.interval;
      }
    }

    draw() {
      const started = performance.now();
      const { renderer, data } = this;
      const height = this.stage.clientHeight;
      this.around.lines.material.color.setStyle(getComputedStyle(this.element).color);
      renderer.setScissorTest(false);
      renderer.clear();
      renderer.setScissorTest(true);
      this.drawn.forEach((drawn, k) => {
        const { panel } = this.panels[k];
        const [x, y, w, h] = [panel.offsetLeft, height - panel.offsetTop - panel.clientHeight, panel.clientWidth, panel.clientHeight];
        renderer.setViewport(x, y, w, h);
        renderer.setScissor(x, y, w, h);
        renderer.render(drawn.scene, this.camera);
        if (this.overlay && k !== data.truth) renderer.render(this.drawn[data.truth].ghosts, this.camera);
        renderer.render(this.around.scene, this.camera);
      });
      this.dirty = false;
      this.spent.draws += 1;
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
