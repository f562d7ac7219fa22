// HedgefoxInflate(text, most): bytes that were deflated and written in base 85 → a promise of them, which fails where a browser is
// too old, and for more than `most` bytes.
"use strict";
var HedgefoxInflate = (() => {
  const DIGITS = "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz!#$%&()*+-;<=>?@^_`{|}~";

  // Five digits are four bytes; the last group may be short.
  function bytesOf(text) {
    const value = new Uint8Array(128);
    for (let i = 0; i < DIGITS.length; i++) value[DIGITS.charCodeAt(i)] = i;
    const groups = Math.ceil(text.length / 5), made = new Uint8Array(4 * groups), view = new DataView(made.buffer);
    for (let g = 0; g < groups; g++) {
      let number = 0;
      for (let k = 5 * g; k < 5 * g + 5; k++) number = number * 85 + (k < text.length ? value[text.charCodeAt(k)] : 84);
      view.setUint32(4 * g, number);
    }
    return made.subarray(0, made.length - (5 * groups - text.length));
  }

  return async (text, most = Infinity) => {
    if (typeof DecompressionStream === "undefined") throw new Error("This browser cannot unpack charts and films; one of 2023 or later can.");
    const stream = new Blob([bytesOf(text)]).stream().pipeThrough(new DecompressionStream("deflate"));
    const reader = stream.getReader(), parts = [];
    let size = 0;
    for (let part = await reader.read(); !part.done; part = await reader.read()) {
      size += part.value.length;
      if (size > most) throw new Error(`More than ${most} bytes unfold.`);
      parts.push(part.value);
    }
    return new Uint8Array(await new Blob(parts).arrayBuffer());
  };
})();
