// Assets that are kept deflated: scripts beside the page, loaded when they are needed, since a page from disk may load no data.
(() => {
  'use strict';
  const texts = new Map(), asked = new Map(), ran = new Map();
  const once = (held, name, make) => {
    if (!held.has(name)) held.set(name, make().catch(error => { held.delete(name); throw error; }));
    return held.get(name);
  };
  const load = name => new Promise((done, fail) => {
    const e = document.createElement('script');
    e.src = `assets/${name}.js`;
    e.onload = () => { done(texts.get(name)); texts.delete(name); };
    e.onerror = () => { e.remove(); fail(new Error(`${e.getAttribute('src')} cannot be read; a report is a folder, and all of it is needed.`)); };
    document.head.append(e);
  });
  const run = async name => {
    const e = document.createElement('script');
    e.textContent = new TextDecoder().decode(await HedgefoxInflate(await HedgefoxAssets.text(name)));
    document.head.append(e);
  };
  window.HedgefoxPacked = (name, text) => texts.set(name, text);
  // text(name): what a packed asset holds, still packed. script(name): resolves once it has run.
  window.HedgefoxAssets = {text: name => once(asked, name, () => load(name)), script: name => once(ran, name, () => run(name))};
})();
