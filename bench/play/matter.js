// HedgefoxMatter: what a film is drawn as. Particles and sheets are drawn by the GPU from the film's own numbers: each frame is a
// buffer that is handed over once, and places between two frames, speeds, errors and colours are made in the vertex shader. Bodies
// are a few numbers each, placed here. Nothing of a film's size is made or sent while it plays, but for frames shown for the first time.
"use strict";
var HedgefoxMatter = (() => {
  const VIRIDIS = ["440154", "482878", "3e4989", "31688e", "26828e", "1f9e89", "35b779", "6ece58", "b5de2b", "fde725"];
  const MODES = { speed: 0, error: 1, material: 2 };
  const DRIVEN = [0.9, 0.2, 0.02]; // orange, which the scale does not hold

  const bytes = (text) => Uint8Array.from(atob(text), (c) => c.charCodeAt(0));
  const numbers = (held, Kind) => (!held ? null : held instanceof Kind ? held : new Kind(bytes(held).buffer));
  const linear = (v) => (v <= 0.04045 ? v / 12.92 : ((v + 0.055) / 1.055) ** 2.4);
  const three3 = (row, fill = 0) => [row[0], row[1], row.length > 2 ? row[2] : fill];
  const diverged = (film, frame) => film.diverged_at >= 0 && frame >= film.diverged_at;

  // Colours of the scale between 0 and 1.
  const STOPS = VIRIDIS.map((hex) => [0, 2, 4].map((c) => parseInt(hex.slice(c, c + 2), 16) / 255));

  // 256 colours of the scale, in linear light, as three.js wants them.
  const PALETTE = (() => {
    const found = new Float32Array(256 * 3);
    for (let i = 0; i < 256; i++) {
      const at = (i / 255) * (STOPS.length - 1), k = Math.min(Math.floor(at), STOPS.length - 2);
      for (let c = 0; c < 3; c++) found[3 * i + c] = linear(STOPS[k][c] + (STOPS[k + 1][c] - STOPS[k][c]) * (at - k));
    }
    return found;
  })();

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

  // ---- particles and sheets: places and colours on the GPU --------------------------------------------------------------

  // `position` and the attributes like it are 16-bit steps of one frame: now, the next one, the one before, and the truth's.
  const NODE = `
    attribute vec3 next, before, truth, truthNext; attribute float mass, driven;
    uniform vec3 low, grain, truthLow, truthGrain, period; uniform float between, interval; uniform int mode; uniform vec2 scale;
    uniform vec3 stops[${STOPS.length}]; varying vec3 tint;
    vec3 shortest(vec3 apart) {
      vec3 turns = vec3(greaterThan(period, vec3(0.0)));
      return apart - turns * period * floor(apart / mix(vec3(1.0), period, turns) + 0.5);
    }
    vec3 place() { return low + grain * position + between * shortest(grain * (next - position)); }
    vec3 truePlace() { return truthLow + truthGrain * truth + between * shortest(truthGrain * (truthNext - truth)); }
    float value() {
      if (mode == 2) return mass;
      if (mode == 1) return length(shortest(place() - truePlace()));
      float now = length(shortest(grain * (position - before)));
      return mix(now, length(shortest(grain * (next - position))), between) / interval;
    }
    vec3 colour() {
      if (driven > 0.5) return vec3(${DRIVEN.join(", ")});
      float share = scale.y > scale.x ? clamp((value() - scale.x) / (scale.y - scale.x), 0.0, 1.0) : 0.5;
      float at = share * ${(STOPS.length - 1).toFixed(1)}; int k = int(min(floor(at), ${(STOPS.length - 2).toFixed(1)}));
      vec3 c = mix(stops[k], stops[k + 1], at - float(k));
      return mix(c / 12.92, pow((c + 0.055) / 1.055, vec3(2.4)), step(0.04045, c));
    }`;

  const POINTS_VERTEX = `${NODE}
    uniform float radius, height;
    void main() {
      tint = colour();
      vec4 seen = modelViewMatrix * vec4(place(), 1.0);
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

  // The light of `lit`, for both sides of a sheet.
  const SHEET_VERTEX = `${NODE}
    attribute vec4 side, sideNext; varying vec3 facing;
    void main() {
      tint = colour();
      facing = mix(side.xyz, sideNext.xyz, between);
      gl_Position = projectionMatrix * modelViewMatrix * vec4(place(), 1.0);
    }`;
  const SHEET_FRAGMENT = `
    uniform float opacity; uniform vec3 plain; uniform float isPlain; varying vec3 tint; varying vec3 facing;
    void main() {
      vec3 n = normalize(facing) * (gl_FrontFacing ? 1.0 : -1.0);
      float light = 2.7 * mix(0.402, 1.0, 0.5 + 0.5 * n.y) + 2.0 * max(0.0, dot(n, normalize(vec3(-0.5, -0.8, 1.0))));
      gl_FragColor = vec4(mix(tint, plain, isPlain) * light / 3.14159, opacity);
      #include <colorspace_fragment>
    }`;

  function lit(scene) {
    scene.add(new THREE.HemisphereLight(0xffffff, 0xaaaaaa, 2.7));
    const sun = new THREE.DirectionalLight(0xffffff, 2.0);
    sun.position.set(-0.5, -0.8, 1);
    scene.add(sun);
    return scene;
  }

  function nodeMaterial(shared, sheet, ghost) {
    return new THREE.ShaderMaterial({
      vertexShader: sheet ? SHEET_VERTEX : POINTS_VERTEX,
      fragmentShader: sheet ? SHEET_FRAGMENT : POINTS_FRAGMENT,
      uniforms: { ...shared, opacity: { value: ghost ? 0.35 : 1 }, isPlain: { value: ghost ? 1 : 0 } },
      transparent: ghost,
      depthWrite: !ghost,
      side: THREE.DoubleSide,
    });
  }

  // The buffer of each frame, made when it is first asked for.
  function frames(make) {
    const made = [];
    return (k) => made[k] || (made[k] = make(k));
  }

  const stepsOf = (film, data) => frames((k) => {
    const size = data.nodes * data.axes;
    return new THREE.BufferAttribute(film.levels.subarray(k * size, (k + 1) * size), data.axes);
  });

  // Area-weighted normals of the nodes of a triangle mesh at a frame, a byte a number.
  function sidesOf(film, data, faces) {
    const p = new Float32Array(3 * data.nodes), n = new Float32Array(3 * data.nodes);
    return frames((k) => {
      placesAt(film, data, k, p);
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
      const sides = new Int8Array(4 * data.nodes);
      for (let i = 0, at = 0; i < n.length; i += 3, at += 4) {
        const scale = 127 / (Math.sqrt(n[i] * n[i] + n[i + 1] * n[i + 1] + n[i + 2] * n[i + 2]) || 1);
        sides[at] = Math.round(n[i] * scale); sides[at + 1] = Math.round(n[i + 1] * scale); sides[at + 2] = Math.round(n[i + 2] * scale);
      }
      return new THREE.BufferAttribute(sides, 4, true);
    });
  }

  const vector = (row) => new THREE.Vector3(...three3(row));

  function nodeUniforms(data, film, truth) {
    return {
      low: { value: vector(film.low) }, grain: { value: vector(film.step) },
      truthLow: { value: vector(truth.low) }, truthGrain: { value: vector(truth.step) },
      period: { value: vector(data.period) }, interval: { value: data.interval },
      between: { value: 0 }, mode: { value: 0 }, scale: { value: [0, 1] },
      stops: { value: STOPS.map((c) => new THREE.Vector3(...c)) },
      radius: { value: data.radius * 1.1 }, height: { value: 1 }, plain: { value: new THREE.Color(0x808080) },
    };
  }

  // A film drawn as particles or as a sheet. `shared` holds the truth's film and buffers, for all films of a player.
  function nodeMatter(data, parts, film, shared) {
    const sheet = parts.faces !== null, geometry = new THREE.BufferGeometry(), uniforms = nodeUniforms(data, film, shared.film);
    const steps = film === shared.film ? shared.steps : stepsOf(film, data);
    const sides = sheet ? sidesOf(film, data, parts.faces) : null;
    if (sheet) geometry.setIndex(shared.faces);
    // three.js sorts by it, and would find it out of steps as if they were places.
    geometry.boundingSphere = { center: vector(data.bounds[0]), radius: 1 };
    geometry.setAttribute("mass", shared.mass);
    geometry.setAttribute("driven", shared.driven);
    const kinds = [false, true].map((ghost) => {
      const made = new (sheet ? THREE.Mesh : THREE.Points)(geometry, nodeMaterial(uniforms, sheet, ghost));
      made.frustumCulled = false;
      return made;
    });
    const follows = (frame) => (frame + 1 < data.frames && !diverged(film, frame + 1) ? frame + 1 : frame);
    const update = (frame, between, colour) => {
      const next = follows(frame), last = data.frames - 1;
      geometry.setAttribute("position", steps(frame));
      geometry.setAttribute("next", steps(next));
      // The speed since the frame before; of the first frame, until the next.
      geometry.setAttribute("before", steps(frame ? frame - 1 : follows(0)));
      geometry.setAttribute("truth", shared.steps(frame));
      geometry.setAttribute("truthNext", shared.steps(Math.min(frame + 1, last)));
      if (sheet) {
        geometry.setAttribute("side", sides(frame));
        geometry.setAttribute("sideNext", sides(next));
      }
      uniforms.between.value = next === frame ? 0 : between;
      uniforms.mode.value = MODES[colour];
      uniforms.scale.value = data.scales[colour];
      kinds[0].material.uniformsNeedUpdate = kinds[1].material.uniformsNeedUpdate = true;
    };
    update(0, 0, data.colour);
    return { objects: [kinds[0]], ghosts: [kinds[1]], update };
  }

  // What all films of a player share: the truth (else the first film), and what does not move.
  function sharedOf(data, parts) {
    const film = parts.films[data.truth === null ? 0 : data.truth];
    const driven = new Uint8Array(4 * data.nodes);
    if (parts.driven) for (let i = 0; i < data.nodes; i++) driven[4 * i] = parts.driven[i];
    return {
      film, steps: stepsOf(film, data),
      mass: new THREE.BufferAttribute(parts.mass, 1),
      driven: new THREE.BufferAttribute(driven, 4),
      faces: parts.faces ? new THREE.BufferAttribute(parts.faces, 1) : null,
    };
  }

  // ---- bodies -----------------------------------------------------------------------------------------------------------

  function solidMaterial(ghost) {
    return new THREE.MeshLambertMaterial(
      ghost
        ? { color: 0x808080, transparent: true, opacity: 0.4, side: THREE.DoubleSide, depthWrite: false, forceSinglePass: true }
        : { color: 0xffffff, side: THREE.DoubleSide });
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
  function bodyMatter(data, parts, film, room) {
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
      objects.push(mesh); ghosts.push(ghost); jobs.push({ mesh, solids, own: solids.map(ownMatrix) });
    }
    const nBodies = 1 + Math.max(...data.solids.map((s) => s.body));
    const sum = new Float32Array(3 * nBodies), count = new Float32Array(nBodies);
    for (const b of parts.body) if (b >= 0) count[b] += 1;
    let colouredFrame = -1, colouredBy = "";
    const update = (frame, between, colour) => {
      if (colouredFrame !== frame || colouredBy !== colour) {
        colouredFrame = frame; colouredBy = colour;
        bodyColours(data, parts, film, frame, colour, room);
        meanColours(parts.body, room.tints, count, sum);
        for (const { mesh, solids } of jobs) colourSolids(mesh, solids, sum);
      }
      const next = frame + 1 < data.frames && !diverged(film, frame + 1) ? frame + 1 : frame;
      for (const job of jobs) placeSolids(job, film.poses, 7 * frame * nBodies, 7 * next * nBodies, between);
    };
    return { objects, ghosts, update };
  }

  const P = new THREE.Vector3(), NEXT = new THREE.Vector3(), ONE = new THREE.Vector3(1, 1, 1);
  const Q = new THREE.Quaternion(), QNEXT = new THREE.Quaternion(), M = new THREE.Matrix4();

  // Where a solid is on its body.
  const ownMatrix = (solid) => new THREE.Matrix4().compose(
    new THREE.Vector3().fromArray(solid.pose), new THREE.Quaternion().fromArray(solid.pose, 3), new THREE.Vector3().fromArray(solidScale(solid)));

  function placeSolids(job, poses, now, next, between) {
    for (let i = 0; i < job.solids.length; i++) {
      const body = 7 * job.solids[i].body;
      P.fromArray(poses, now + body); Q.fromArray(poses, now + body + 3);
      if (between) {
        P.lerp(NEXT.fromArray(poses, next + body), between);
        Q.slerp(QNEXT.fromArray(poses, next + body + 3), between);
      }
      job.mesh.setMatrixAt(i, M.compose(P, Q, ONE).multiply(job.own[i]));
    }
    job.mesh.instanceMatrix.needsUpdate = true;
  }

  function colourSolids(mesh, solids, sum) {
    for (let i = 0; i < solids.length; i++) {
      for (let c = 0; c < 3; c++) mesh.instanceColor.array[3 * i + c] = sum[3 * solids[i].body + c];
    }
    mesh.instanceColor.needsUpdate = true;
  }

  function meanColours(body, tints, count, sum) {
    sum.fill(0);
    for (let i = 0; i < body.length; i++) {
      const b = body[i];
      if (b < 0) continue;
      for (let c = 0; c < 3; c++) sum[3 * b + c] += tints[3 * i + c] / count[b];
    }
  }

  // Colours of a film's nodes at a frame, into `room.tints`.
  function bodyColours(data, parts, film, frame, colour, room) {
    if (colour === "material") room.values.set(parts.mass);
    else {
      const other = colour === "error" ? parts.films[data.truth] : film;
      placesAt(film, data, frame, room.now);
      placesAt(other, data, colour === "error" ? frame : frame ? frame - 1 : Math.min(1, data.frames - 1), room.other);
      distances(room.now, room.other, data.period, room.values);
      if (colour === "speed") for (let i = 0; i < room.values.length; i++) room.values[i] /= data.interval;
    }
    tint(room.values, data.scales[colour], room.tints);
    if (!parts.driven) return;
    for (let i = 0; i < data.nodes; i++) if (parts.driven[i]) for (let c = 0; c < 3; c++) room.tints[3 * i + c] = DRIVEN[c];
  }

  function roomFor(data) {
    const room = () => new Float32Array(3 * data.nodes);
    return { now: room(), other: room(), tints: room(), values: new Float32Array(data.nodes) };
  }

  // ---- numbers of a frame -----------------------------------------------------------------------------------------------

  // Positions (N, 3) [m] of a film at a frame, into `into`.
  function placesAt(film, data, frame, into) {
    const d = data.axes, { low, step, levels } = film;
    for (let i = 0, at = frame * data.nodes * d, to = 0; i < data.nodes; i++, at += d, to += 3) {
      into[to] = low[0] + step[0] * levels[at];
      into[to + 1] = low[1] + step[1] * levels[at + 1];
      into[to + 2] = d > 2 ? low[2] + step[2] * levels[at + 2] : 0;
    }
  }

  // Distances (N,) [m] between two sets of positions, by the shortest way where an axis is periodic.
  function distances(a, b, period, into) {
    const px = period[0], py = period[1], pz = period.length > 2 ? period[2] : 0;
    for (let i = 0, k = 0; i < into.length; i++, k += 3) {
      let x = a[k] - b[k], y = a[k + 1] - b[k + 1], z = a[k + 2] - b[k + 2];
      if (px) x -= px * Math.round(x / px);
      if (py) y -= py * Math.round(y / py);
      if (pz) z -= pz * Math.round(z / pz);
      into[i] = Math.sqrt(x * x + y * y + z * z);
    }
  }

  function tint(values, scale, into) {
    const low = scale[0], range = scale[1] > low ? 255 / (scale[1] - low) : 0;
    for (let i = 0; i < values.length; i++) {
      let k = range ? Math.round((values[i] - low) * range) : 128;
      k = 3 * (k < 0 ? 0 : k > 255 ? 255 : k);
      into[3 * i] = PALETTE[k]; into[3 * i + 1] = PALETTE[k + 1]; into[3 * i + 2] = PALETTE[k + 2];
    }
  }

  // ---- what stands still, or moves by script ----------------------------------------------------------------------------

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
    const update = (frame, between) => {
      if (parts.boxOffset) move(group, parts.boxOffset, data, frame, between, 1, 0);
      for (let i = 0; i < obstacles.length; i++) move(obstacles[i], parts.obstacles, data, frame, between, obstacles.length, i);
    };
    return { scene, lines, update };
  }

  // Put an object where a script, rows of `number` places a frame, has its `index`-th.
  function move(object, script, data, frame, between, number, index) {
    const d = data.axes, now = (frame * number + index) * d, next = frame + 1 < data.frames ? now + number * d : now;
    const at = (c) => script[now + c] + between * (script[next + c] - script[now + c]);
    object.position.set(at(0), at(1), d > 2 ? at(2) : 0);
  }

  function obstacle(o, data) {
    const size = three3(o.size, 0.2 * o.size[0]);
    const geometry = o.shape === "box" ? new THREE.BoxGeometry(...size.map((v) => 2 * v)) : new THREE.SphereGeometry(o.size[0], 36, 24);
    const material = new THREE.MeshLambertMaterial({ color: 0x9a6b3f, transparent: true, opacity: 0.55, depthWrite: false });
    const made = new THREE.Mesh(geometry, material);
    if (data.axes === 2) made.scale.z = o.shape === "box" ? 1 : 0.02;
    return made;
  }

  // ---- all of it --------------------------------------------------------------------------------------------------------

  // Of each film its matter and the scenes that it is drawn in, and what is around all of them.
  function build(data) {
    const parts = decode(data), shared = sharedOf(data, parts), room = data.solids.length ? roomFor(data) : null;
    const films = parts.films.map((film) => {
      const matter = room && film.poses ? bodyMatter(data, parts, film, room) : nodeMatter(data, parts, film, shared);
      const scene = lit(new THREE.Scene()), ghosts = lit(new THREE.Scene());
      matter.objects.forEach((o) => scene.add(o));
      matter.ghosts.forEach((o) => ghosts.add(o));
      return { film, matter, scene, ghosts };
    });
    return { films, around: surroundings(data, parts) };
  }

  return { build, diverged, three3, VIRIDIS };
})();
