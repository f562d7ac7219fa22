// HedgefoxPacking.unpack(text): a film as bench/play/packing.py packs it, in base 85 → a promise of a player's data, by inflate.js.
"use strict";
var HedgefoxPacking = (() => {
  const KINDS = { driven: Uint8Array, mass: Float32Array, faces: Uint32Array, body: Int32Array, box_offset: Float32Array, obstacle_position: Float32Array };
  const ORDER = 2;
  const POSE_GONE = 65535;
  // As packing.py and film.py have them.
  const MOST_BYTES = 65 * 2 ** 20, MOST_FILMS = 6;

  // Numbers (T, N, C) from their folded second differences, which stand by channel, low bytes first.
  function unfolded(bytes, frames, channels) {
    const number = bytes.length / 2, nodes = number / (frames * channels), made = new Uint16Array(number);
    const row = nodes * channels;
    for (let c = 0, from = 0; c < channels; c++) {
      for (let t = 0; t < frames; t++) {
        for (let i = 0, to = t * row + c; i < nodes; i++, from++, to += channels) {
          const folded = bytes[from] | (bytes[number + from] << 8);
          made[to] = folded & 1 ? -((folded + 1) >> 1) : folded >> 1;
        }
      }
    }
    for (let k = 0; k < ORDER; k++) for (let at = row; at < number; at++) made[at] += made[at - row];
    return made;
  }

  function poses(steps, low, step) {
    const made = new Float32Array(steps.length);
    for (let i = 0; i < made.length; i++) made[i] = steps[i] === POSE_GONE ? NaN : low[i % 7] + step[i % 7] * steps[i];
    return made;
  }

  async function unpack(text) {
    const whole = await HedgefoxInflate(text, MOST_BYTES);
    const length = new DataView(whole.buffer).getUint32(4, true);
    const data = JSON.parse(new TextDecoder().decode(whole.subarray(8, 8 + length)));
    const block = (where) => whole.slice(8 + length + where.at, 8 + length + where.at + where.bytes);
    for (const [name, Kind] of Object.entries(KINDS)) if (data[name]) data[name] = new Kind(block(data[name]).buffer);
    if (data.films.length > MOST_FILMS) throw new Error(`More than ${MOST_FILMS} films in one player.`);
    for (const film of data.films) {
      film.position = unfolded(block(film.position), data.frames, data.axes);
      if (film.pose) film.pose = poses(unfolded(block(film.pose), data.frames, 7), film.pose.low, film.pose.step);
    }
    return data;
  }

  return { unpack };
})();
