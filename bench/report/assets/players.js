// Choosers of the films that the records kept. A film is a script, loaded when it is chosen: a page from disk may load no data.
(() => {
  'use strict';
  const section = document.getElementById('players'), place = document.getElementById('player'), sorry = document.getElementById('no-film');
  const records = JSON.parse(document.getElementById('players-data').textContent).records;
  const make = (tag, more = {}, ...inside) => {
    const e = document.createElement(tag);
    for (const [k, v] of Object.entries(more)) e.setAttribute(k, v);
    e.append(...inside);
    return e;
  };

  const dataOf = async name => {
    await HedgefoxAssets.script('player');
    return HedgefoxPacking.unpack(await HedgefoxAssets.text(name));
  };

  // -- choosing ---------------------------------------------------------------------------------------------------------
  const says = {
    record: f => records[f.record].title, domain: f => f.domain, split: f => f.split,
    scene: f => `${f.rule}: scene ${f.scene}, ${Number(f.error.toPrecision(3))} m`,
  };
  const names = Object.keys(says), value = (f, name) => String(name === 'scene' ? f.rule : f[name]);
  const films = records.flatMap((r, record) => r.films.map(f => ({...f, record})));
  const chosen = {split: 'test', scene: 'median'}, selects = {};
  const fitting = upTo => films.filter(f => names.slice(0, upTo).every(n => value(f, n) === chosen[n]));
  // Each choice leaves those after it what there is; what was chosen before stays where it can.
  const fill = from => {
    for (let k = from; k < names.length; k++) {
      const name = names[k], left = new Map(fitting(k).map(f => [value(f, name), says[name](f)]));
      if (!left.has(chosen[name])) chosen[name] = left.keys().next().value;
      selects[name].replaceChildren(...[...left].map(([v, text]) => make('option', {value: v}, text)));
      selects[name].value = chosen[name];
      selects[name].parentElement.hidden = name === 'record' && left.size < 2;
    }
  };
  names.forEach((name, k) => {
    selects[name] = make('select', {'data-film': name});
    selects[name].onchange = () => { chosen[name] = selects[name].value; fill(k + 1); show(); };
    section.querySelector('.controls').append(make('label', {}, `${name} `, selects[name]));
  });

  // -- showing ----------------------------------------------------------------------------------------------------------
  let player = null, wanted = 0;
  const show = async () => {
    const mine = ++wanted, film = fitting(names.length)[0];
    try {
      const data = await dataOf(film.script);
      if (mine !== wanted) return; // another was chosen meanwhile
      const kept = player ? player.settings() : {};
      if (player) player.close();
      const element = make('div');
      place.replaceChildren(element);
      player = element.hedgefoxPlayer = HedgefoxPlayer(element, data, kept);
      sorry.hidden = true;
      place.dataset.shown = film.script;
    } catch (error) {
      if (mine !== wanted) return;
      sorry.textContent = error.message; sorry.hidden = false;
    }
  };
  fill(0);
  const watcher = new IntersectionObserver(seen => {
    if (seen.some(s => s.isIntersecting)) { watcher.disconnect(); show(); }
  }, {rootMargin: '400px'});
  watcher.observe(section);
})();
