// Draws, sorts, filters and hides what the page already holds. Computes no figure. plotly.js is loaded with the first chart.
(() => {
  'use strict';
  const $ = (q, at = document) => at.querySelector(q), $$ = (q, at = document) => [...at.querySelectorAll(q)];
  const data = JSON.parse($('#report-data').textContent), root = document.documentElement;
  const make = (tag, text, more = {}) => {
    const e = document.createElement(tag);
    if (text !== undefined) e.textContent = text;
    for (const [k, v] of Object.entries(more)) e.setAttribute(k, v);
    return e;
  };
  const narrow = matchMedia('(max-width: 600px)').matches;

  // -- the board: sorting ---------------------------------------------------------------------------------------------
  const keyOf = cell => {
    if (cell.dataset.key === undefined) return [2, 0, ''];
    const n = Number(cell.dataset.key === 'inf' ? 'Infinity' : cell.dataset.key);
    return Number.isNaN(n) ? [1, 0, cell.dataset.key] : [0, n, ''];
  };
  const sortBy = head => {
    const table = head.closest('table'), body = table.tBodies[0], k = head.cellIndex;
    const up = head.getAttribute('aria-sort') !== 'ascending';
    const keyed = [...body.rows].map((row, i) => [keyOf(row.cells[k]), i, row]);
    // Equal numbers (and two infinities, whose difference is none) keep their order.
    const number = (a, b) => a === b ? 0 : a - b;
    keyed.sort(([a, i], [b, j]) => (a[0] === 2 || b[0] === 2 ? a[0] - b[0]
      : (up ? 1 : -1) * (a[0] - b[0] || number(a[1], b[1]) || a[2].localeCompare(b[2]))) || i - j);
    $$('th[aria-sort]', table).forEach(h => h.setAttribute('aria-sort', h === head ? (up ? 'ascending' : 'descending') : 'none'));
    body.append(...keyed.map(r => r[2]));
  };
  $$('table.board thead th').forEach(head => { $('button', head).onclick = () => sortBy(head); });

  // -- the board: filters and columns ---------------------------------------------------------------------------------
  const inputs = $$('[data-filter]'), learned = ['specialist', 'generalist', 'hybrid'];
  const filter = () => {
    const want = Object.fromEntries(inputs.map(i => [i.dataset.filter, i.value.trim()]));
    let shown = 0, all = 0;
    for (const part of $$('section.table')) {
      const here = ['track', 'domain', 'split'].every(k => !want[k] || want[k] === part.dataset[k]);
      let inside = 0;
      for (const row of $$('tbody tr', part)) {
        const kind = !want.kind || (want.kind === '*learned' ? learned.includes(row.dataset.kind) : want.kind === row.dataset.kind);
        const text = (row.dataset.address + ' ' + row.dataset.kind).toLowerCase();
        const ok = here && kind && (!want.device || want.device === row.dataset.device) && text.includes(want.text.toLowerCase());
        row.hidden = !ok; inside += ok; all += 1;
      }
      part.hidden = !inside; shown += inside;
    }
    $('#count').textContent = `${shown} of ${all} rows`;
    $('#nothing').hidden = shown > 0;
  };
  const preset = $('#filters').dataset;
  inputs.forEach(i => {
    const first = preset[i.dataset.filter];
    if (first && [...(i.options || [])].some(o => o.value === first)) i.value = first;
    i.addEventListener('input', filter);
  });
  filter();
  if (!$('section.table:not([hidden])')) { inputs.forEach(i => { i.value = ''; }); filter(); }
  $('#reset').onclick = () => { inputs.forEach(i => { i.value = ''; }); filter(); };
  const columns = $$('[data-column][type=checkbox]');
  const place = make('style'); document.head.append(place);
  const hideColumns = () => { place.textContent = columns.filter(c => !c.checked).map(c => `.c-${c.dataset.column}{display:none}`).join(''); };
  // What no contestant has, and what a screen of this width has no room for, is left out at first.
  const wide = matchMedia('(min-width: 1700px)').matches;
  columns.forEach(c => {
    if (!$(`td.c-${c.dataset.column}[data-key]`) || (narrow && 'phone' in c.dataset) || (!wide && 'wide' in c.dataset)) c.checked = false;
    c.onchange = hideColumns;
  });
  hideColumns();

  // -- the board: where a figure is from ------------------------------------------------------------------------------
  const quoted = s => /^[\w@%+=:,./-]+$/.test(s) ? s : "'" + s.replaceAll("'", `'"'"'`) + "'";
  const panel = $('#explain');
  const explain = cell => {
    const head = cell.closest('table').tHead.rows[0].cells[cell.cellIndex];
    const column = head.dataset.column === 'spread' ? 'position_rmse_20' : head.dataset.column;
    $('#explain-what').textContent = `${head.textContent}, ${cell.textContent.trim().split(' ')[0]}:`;
    $('#explain-command').textContent = `hedgefox explain ${quoted(cell.parentElement.dataset.address + column)} ${quoted(data.folder)}`;
    panel.hidden = false;
  };
  $$('table.board tbody').forEach(body => {
    const first = $('td.x', body); if (first) first.tabIndex = 0;
    $$('td.x', body).forEach(c => { if (c !== first) c.tabIndex = -1; });
    const go = cell => { if (!cell) return; $$('td[tabindex="0"]', body).forEach(c => { c.tabIndex = -1; }); cell.tabIndex = 0; cell.focus(); };
    body.addEventListener('click', e => { const c = e.target.closest('td.x'); if (c) { go(c); explain(c); } });
    body.addEventListener('focusin', e => { if (e.target.matches('td.x')) explain(e.target); });
    body.addEventListener('keydown', e => {
      const cell = e.target.closest('td.x'); if (!cell) return;
      const seen = c => c && c.matches('.x') && c.offsetParent !== null;
      const along = d => { let c = cell[d]; while (c && !seen(c)) c = c[d]; return c; };
      const across = d => { let r = cell.parentElement[d]; while (r && !seen(r.cells[cell.cellIndex])) r = r[d]; return r && r.cells[cell.cellIndex]; };
      const to = {ArrowRight: () => along('nextElementSibling'), ArrowLeft: () => along('previousElementSibling'),
        ArrowDown: () => across('nextElementSibling'), ArrowUp: () => across('previousElementSibling')}[e.key];
      if (to) { e.preventDefault(); go(to()); }
    });
  });
  $('#close').onclick = () => { panel.hidden = true; };
  document.addEventListener('keydown', e => { if (e.key === 'Escape') panel.hidden = true; });
  $('#copy').onclick = async () => {
    const code = $('#explain-command'), range = document.createRange();
    range.selectNodeContents(code); getSelection().removeAllRanges(); getSelection().addRange(range);
    let done = false;
    try { await navigator.clipboard.writeText(code.textContent); done = true; } catch { done = document.execCommand('copy'); }
    $('#copy').textContent = done ? 'copied' : 'press Ctrl C';
    setTimeout(() => { $('#copy').textContent = 'copy'; }, 1500);
  };

  // -- colours --------------------------------------------------------------------------------------------------------
  const css = name => getComputedStyle(root).getPropertyValue(name).trim();
  const colour = token => {
    const found = /^@(\w+)(?:\/([\d.]+))?$/.exec(token);
    if (!found) return token;
    const c = css(/^\d/.test(found[1]) ? `--c${found[1]}` : `--${found[1]}`);
    return found[2] ? c + Math.round(255 * Number(found[2])).toString(16).padStart(2, '0') : c;
  };
  // Only where plotly expects a colour: a model may be named "@3".
  const painted = (v, k) => Array.isArray(v) ? v.map(x => painted(x)) : v && typeof v === 'object'
    ? Object.fromEntries(Object.entries(v).map(([n, x]) => [n, painted(x, n)])) : typeof v === 'string' && /color$/.test(k || '') ? colour(v) : v;

  // -- charts ---------------------------------------------------------------------------------------------------------
  const still = matchMedia('(prefers-reduced-motion: reduce)').matches;
  const layoutOf = (chart, state) => {
    const layout = painted(chart.layout), line = {gridcolor: css('--rule'), zerolinecolor: css('--rule'), linecolor: css('--muted'), automargin: true};
    const log = a => a && a.type === 'log' ? {...a, exponentformat: 'power', dtick: a.dtick || undefined} : a;
    layout.xaxis = {...line, ...log(layout.xaxis)}; layout.yaxis = {...line, ...log(layout.yaxis)};
    if (state.linear && layout.yaxis.type === 'log') layout.yaxis = {...layout.yaxis, type: 'linear', rangemode: 'tozero', exponentformat: undefined};
    return {height: 360, margin: {l: 56, r: 14, t: 12, b: 46}, showlegend: false, paper_bgcolor: 'transparent', plot_bgcolor: 'transparent',
      font: {color: css('--fg'), size: 12, family: 'system-ui, sans-serif'}, hoverlabel: {namelength: -1}, dragmode: narrow ? false : 'zoom', ...layout};
  };
  const drawn = new Set();
  const draw = spot => HedgefoxAssets.script('plotly').then(() => {
    const {chart, state} = spot;
    if (!spot.node.isConnected) return; // another was chosen meanwhile
    const traces = painted(chart.data).map(t => ({...t, visible: !state.hidden.has(t.meta && t.meta.who)}));
    Plotly.react(spot.node, traces, layoutOf(chart, state), {responsive: true, displaylogo: false, displayModeBar: narrow ? false : 'hover',
      scrollZoom: false, doubleClick: 'reset', modeBarButtonsToRemove: ['select2d', 'lasso2d'], staticPlot: false, plotGlPixelRatio: 1})
      .then(() => spot.node.setAttribute('data-drawn', '1'));
    drawn.add(spot);
  }, error => { spot.node.textContent = error.message; });
  const spots = new WeakMap();
  const watcher = new IntersectionObserver(seen => seen.forEach(s => {
    if (s.isIntersecting) { watcher.unobserve(s.target); draw(spots.get(s.target)); }
  }), {rootMargin: '300px'});
  const redraw = state => drawn.forEach(s => { if (s.state === state || !state) draw(s); });
  const shapes = {circle: '<circle cx="7" cy="7" r="4.5"/>', square: '<rect x="2.5" y="2.5" width="9" height="9"/>', diamond: '<path d="M7 1l6 6-6 6-6-6z"/>',
    x: '<path d="M3 3l8 8M11 3l-8 8"/>', star: '<path d="M7 0l2 5h5l-4 3 2 6-5-4-5 4 2-6-4-3h5z"/>', 'triangle-up': '<path d="M7 1l6 11H1z"/>'};
  const swatch = trace => {
    const [shape, hollow] = String(trace.marker && trace.marker.symbol || 'circle').split('-open');
    const c = colour(String(trace.marker && trace.marker.color || (trace.line || {}).color || '@muted'));
    const holder = make('span');
    holder.innerHTML = `<svg width="14" height="14" aria-hidden="true">${shapes[shape] || shapes.circle}</svg>`;
    const svg = holder.firstChild; svg.style.stroke = c; svg.style.strokeWidth = '1.6'; svg.style.fill = hollow === undefined ? c : 'none';
    return svg;
  };
  const family = (section, held) => {
    const box = $('.controls', section), legend = $('.legend', section), grid = $('.grid', section);
    const names = [...new Set(held.charts.flatMap(c => Object.keys(c.keys)))], chosen = {}, state = {hidden: null, linear: false};
    const fits = (c, upTo) => names.slice(0, upTo).every(n => c.keys[n] === chosen[n]);
    const show = () => {
      const now = held.charts.filter(c => fits(c, names.length));
      drawn.forEach(s => { if (s.state === state) { Plotly.purge(s.node); drawn.delete(s); } });
      grid.replaceChildren(...now.map(chart => {
        const figure = make('figure'), node = make('div', undefined, {class: 'plot', role: 'img', 'aria-label': chart.alt});
        node.style.minHeight = `${chart.layout.height || 360}px`;
        figure.append(make('h3', chart.title), node); spots.set(node, {chart, state, node}); watcher.observe(node);
        return figure;
      }));
      const found = new Map();
      for (const t of now.flatMap(c => c.data)) {
        if (!t.meta) continue;
        const off = t.visible === 'legendonly', before = found.get(t.meta.who);
        // Hidden at first where no chart beside the others shows it.
        found.set(t.meta.who, {trace: before ? before.trace : t, off: off && (!before || before.off)});
      }
      state.hidden = new Set([...found].filter(([, f]) => f.off).map(([who]) => who));
      const rungs = [...found].filter(([, f]) => f.trace.meta.kind === 'ladder').map(([who]) => who);
      const buttons = new Map();
      const press = (list, on) => { list.forEach(w => { on ? state.hidden.delete(w) : state.hidden.add(w); const b = buttons.get(w); if (b) b.setAttribute('aria-pressed', on); }); redraw(state); };
      for (const [who, f] of found) {
        if (rungs.length > 3 && rungs.includes(who)) continue;
        const b = make('button', undefined, {type: 'button', 'aria-pressed': !state.hidden.has(who)});
        b.append(swatch(f.trace), make('span', who)); b.onclick = () => press([who], state.hidden.has(who)); buttons.set(who, b);
      }
      if (rungs.length > 3) {
        const b = make('button', undefined, {type: 'button', 'aria-pressed': !state.hidden.has(rungs[0])});
        b.append(swatch(found.get(rungs[0]).trace), make('span', `simulator settings (${rungs.length})`));
        b.onclick = () => { const on = state.hidden.has(rungs[0]); b.setAttribute('aria-pressed', on); press(rungs, on); };
        buttons.set(null, b);
      }
      legend.replaceChildren(...buttons.values());
      legend.hidden = buttons.size < 2;
    };
    const fill = from => {
      for (let k = from; k < names.length; k++) {
        const n = names[k], values = [...new Set(held.charts.filter(c => fits(c, k)).map(c => c.keys[n]))];
        chosen[n] = values.includes(chosen[n]) ? chosen[n] : values.includes(held.first[n]) ? held.first[n] : values[0];
        const select = $(`select[data-key="${n}"]`, box);
        select.replaceChildren(...values.map(v => make('option', v, {value: v}))); select.value = chosen[n];
        select.parentElement.hidden = values.length < 2 && n !== 'track';
      }
    };
    names.forEach((n, k) => {
      const l = make('label', `${n} `), select = make('select', undefined, {'data-key': n});
      select.onchange = () => { chosen[n] = select.value; fill(k + 1); show(); };
      l.append(select); box.append(l);
    });
    if (held.charts.some(c => (c.layout.yaxis || {}).type === 'log')) {
      const b = make('button', 'linear axis', {type: 'button', 'aria-pressed': 'false'});
      b.onclick = () => { state.linear = !state.linear; b.setAttribute('aria-pressed', state.linear); redraw(state); };
      box.append(b);
    }
    fill(0); show();
  };
  for (const [id, held] of Object.entries(data.families)) if (held.charts.length) family(document.getElementById(id), held);
  addEventListener('beforeprint', () => $$('.plot').forEach(n => { if (!n.dataset.drawn) draw(spots.get(n)); }));

  // -- light and dark -------------------------------------------------------------------------------------------------
  const dark = matchMedia('(prefers-color-scheme: dark)');
  try { const kept = localStorage.getItem('hedgefox-theme'); if (kept) root.dataset.theme = kept; } catch { /* a page from disk may keep nothing */ }
  $('#theme').onclick = () => {
    root.dataset.theme = (root.dataset.theme || (dark.matches ? 'dark' : 'light')) === 'dark' ? 'light' : 'dark';
    try { localStorage.setItem('hedgefox-theme', root.dataset.theme); } catch { /* as above */ }
    redraw();
  };
  dark.addEventListener('change', () => redraw());

  // -- links to folded parts ------------------------------------------------------------------------------------------
  const unfold = () => { const at = location.hash && document.getElementById(decodeURIComponent(location.hash.slice(1))); if (at && at.matches('details')) at.open = true; };
  addEventListener('hashchange', unfold); unfold();
  root.dataset.ready = '1';
})();
