'use strict';

const DATA = JSON.parse(document.getElementById('data').textContent);
const RUNS = DATA.runs;
const SEVERAL = RUNS.length > 1;
const KINDS = {
  Cls: 'right place, wrong class',
  Loc: 'right class, place not exact',
  Both: 'wrong class, place not exact',
  Dupe: 'an object found twice',
  Bkg: 'nothing there',
  Miss: 'object not found at all',
  FalsePos: 'all false detections',
  FalseNeg: 'all objects not found',
};
const USUAL = ['loss', 'lr', 'grad_norm', 'time', 'memory'];

const union = (lists) => [...new Set(lists.flat())];
// A column that counts, or that is a name in figures, has no bar.
const shorter = (name) => name.replace(/^coco\//, '').replaceAll('_', ' ');
const measured = (name) => !/pixels|instances|category_id/i.test(name);
const mostOf = (values) => {
  const high = Math.max(...values.filter((value) => value !== null), 0);
  return high <= 1 ? 1 : high <= 100 ? 100 : high;
};

// What each run has of something, one beside the other.
function beside(runs, render) {
  if (!SEVERAL) return render(runs[0]);
  return h('div', { class: 'grid wide' }, runs.map((run) => h('div', { class: 'card' },
    h('h3', {}, swatch(RUNS.indexOf(run)), run.name), render(run))));
}

function section(id, title, about, body, controls) {
  return { id, title, node: h('section', { id }, h('div', { class: 'heading' }, h('h2', {}, title), controls || null),
    about ? h('p', { class: 'about' }, about) : null, body) };
}

function summary() {
  const notes = union([DATA.notes, ...RUNS.map((run) => run.notes.map((note) => (SEVERAL ? `${run.name}: ${note}` : note)))]);
  const list = notes.length ? h('ul', { class: 'notes' }, notes.map((note) => h('li', {}, note))) : null;
  return section('summary', SEVERAL ? 'Runs' : 'Result', null, [SEVERAL ? runsTable() : [tiles(RUNS[0]), h('div', {
    class: 'card', style: { marginTop: '16px' } }, facts(RUNS[0]))], groupsTable(), list]);
}

const facts = (run) => h('dl', { class: 'facts' }, run.facts.map(([label, text]) => h('div', {}, h('dt', {}, label),
  h('dd', {}, text))));

function tiles(run) {
  const others = Object.keys(run.final).filter((name) => !run.main.includes(name));
  const shown = [...run.main, ...others].slice(0, Math.max(run.main.length, 4));
  if (!shown.length) return h('p', { class: 'nothing' }, 'Nothing was evaluated in this work dir yet.');
  return h('div', { class: 'tiles' }, shown.map((name) => {
    const [best, when] = run.best[name];
    const column = run.history.columns.indexOf(name);
    const series = column < 0 ? [] : run.history.rows.map((row) => row[column]).filter((value) => value !== null);
    const better = best > run.final[name] ? `best ${format(best)}${when === null ? '' : ` at iteration ${format(when)}`}`
      : series.length > 1 ? 'the best of this run' : '';
    return h('div', { class: `card tile ${run.main.includes(name) ? 'main' : ''}` }, h('div', { class: 'label' }, shorter(name)),
      h('div', { class: 'value' }, format(run.final[name])), h('div', { class: 'more' }, better), sparkline(series));
  }));
}

function runsTable() {
  const metrics = union(RUNS.map((run) => run.main));
  const labels = union(RUNS.map((run) => run.facts.map(([label]) => label)));
  const columns = [{ label: 'run', kind: 'run' }];
  for (const name of metrics) {
    const most = mostOf(RUNS.map((run) => run.best[name]?.[0] ?? null));
    columns.push({ label: shorter(name), kind: 'bar', most }, { label: `best ${shorter(name)}`, kind: 'number' });
  }
  columns.push(...labels.map((label) => ({ label, kind: label === 'config' ? 'key' : null })));
  const rows = RUNS.map((run, i) => [[i, run.name], ...metrics.flatMap((name) => [run.final[name] ?? null,
    run.best[name]?.[0] ?? null]), ...labels.map((label) => new Map(run.facts).get(label) ?? null)]);
  return h('div', { class: 'card' }, table(columns, rows));
}

function groupsTable() {
  if (!DATA.groups.some((group) => group.runs.length > 1)) return null;
  const metrics = union(RUNS.map((run) => run.main));
  const text = (found) => (found === undefined ? null : found.std === null ? format(found.mean)
    : `${format(found.mean)} ± ${found.std.toPrecision(2)}  (${format(found.min)} to ${format(found.max)})`);
  const columns = [{ label: 'config', kind: 'name' }, { label: 'runs', kind: 'number' }, { label: 'seeds' },
    ...metrics.flatMap((name) => [{ label: shorter(name), kind: 'number' },
      { label: `best ${shorter(name)}`, kind: 'number' }])];
  const rows = DATA.groups.map((group) => [group.name, group.runs.length, group.seeds.map((seed) => seed ?? '–').join(', '),
    ...metrics.flatMap((name) => [text(group.final[name]), text(group.best[name])])]);
  return h('div', { class: 'card', style: { marginTop: '16px' } },
    h('h3', {}, 'Runs that differ by their seed alone: mean ± standard deviation, range'), table(columns, rows));
}

// A panel for each kind of quantity of one run, for each quantity of several.
function panels() {
  const lineOf = (run, line, i, name) => ({ ...line, name, colour: i, hours: run.clock });
  if (!SEVERAL) {
    return RUNS[0].curves.map((panel) => ({ ...panel, usual: true,
      lines: panel.lines.map((line, i) => lineOf(RUNS[0], line, i, line.name)) }));
  }
  const main = union(RUNS.map((run) => run.main));
  const found = new Map();
  RUNS.forEach((run, i) => run.curves.forEach((panel) => panel.lines.forEach((line) => {
    const usual = USUAL.includes(line.name) || main.includes(line.name);
    if (!found.has(line.name)) found.set(line.name, { ...panel, title: line.name, usual, lines: [] });
    found.get(line.name).lines.push(lineOf(run, line, i, run.name));
  })));
  return [...found.values()];
}

function curves() {
  const all = panels();
  if (!all.length) return null;
  const options = { smoothing: 0.05, over: 'iterations' };
  const charts = [];
  const make = (panel) => {
    const chart = new LineChart(panel, options);
    charts.push(chart);
    return chart.node;
  };
  const redraw = () => charts.forEach((chart) => chart.draw());
  const smoothing = h('input', { type: 'range', min: 0, max: 0.4, step: 0.01, value: options.smoothing,
    oninput: (event) => { options.smoothing = +event.target.value; redraw(); } });
  const over = h('select', { onchange: (event) => { options.over = event.target.value; redraw(); } },
    h('option', {}, 'iterations'), h('option', {}, 'hours'));
  const timed = RUNS.every((run) => !run.curves.length || run.clock.x.length);
  const rest = all.filter((panel) => !panel.usual);
  // what is hidden has no width, so it is drawn when it is opened
  const more = h('div', { class: 'grid' });
  const details = rest.length ? h('details', { style: { marginTop: '16px' }, ontoggle: () => {
    if (!more.children.length) more.append(...rest.map(make));
  } }, h('summary', {}, `${rest.length} more`), more) : null;
  return section('curves', 'Curves', null, [h('div', { class: 'grid' },
    all.filter((panel) => panel.usual).map(make)), details], h('div', { class: 'controls' },
    h('label', {}, 'smoothing', smoothing), timed ? h('label', {}, 'over', over) : null));
}

function evaluations() {
  const runs = RUNS.filter((run) => run.history.rows.length);
  if (!runs.length) return null;
  return section('evaluations', 'Evaluations', 'The metrics of each validation during the training.',
    beside(runs, (run) => {
      const columns = run.history.columns.map((label, i) => ({ label: shorter(label), kind: i && label !== 'epoch' ? 'bar' : 'number',
        most: mostOf(run.history.rows.map((row) => row[i])) }));
      const view = table(columns, run.history.rows, { tall: true });
      return SEVERAL ? view : card(null, view);
    }));
}

function classes() {
  const count = Math.max(...RUNS.map((run) => run.per_class.length));
  if (!count) return null;
  const cards = Array.from({ length: count }, (_, i) => {
    const runs = RUNS.filter((run) => run.per_class[i]);
    return h('div', { class: 'card', 'data-table': 'classes' }, runs.length > 1 ? classesOfRuns(runs, i)
      : [SEVERAL ? h('h3', {}, runs[0].name) : null, classesOfRun(runs[0].per_class[i])]);
  });
  return section('classes', 'Classes', 'A click on a heading sorts.', h('div', { class: 'stack' }, cards));
}

function classesOfRun({ columns, rows }) {
  const empty = columns.map((_, i) => rows.every((row) => row[i] === null));
  const kept = columns.map((_, i) => i).filter((i) => !empty[i] && columns[i] !== 'category_id');
  const heads = kept.map((i) => ({ label: shorter(columns[i]), kind: i === 0 ? 'name'
    : measured(columns[i]) ? 'bar' : 'number', most: i && mostOf(rows.map((row) => row[i])) }));
  return table(heads, rows.map((row) => kept.map((i) => row[i])), { tall: true, filter: 12 });
}

// One figure at a time, of the runs beside each other.
function classesOfRuns(runs, place) {
  const names = union(runs.map((run) => run.per_class[place].columns.slice(1))).filter((name) => name !== 'category_id');
  names.sort((a, b) => measured(b) - measured(a));
  const holder = h('div');
  const choice = h('select', { 'aria-label': 'figure', onchange: () => show(choice.value) },
    names.map((name) => h('option', { value: name }, shorter(name))));
  function show(name) {
    const of = runs.map((run) => {
      const { columns, rows } = run.per_class[place];
      const column = columns.indexOf(name);
      return new Map(rows.map((row) => [row[0], column < 0 ? null : row[column]]));
    });
    const all = union(of.map((one) => [...one.keys()]));
    const rows = all.map((key) => {
      const values = of.map((one) => one.get(key) ?? null);
      const there = values.filter((value) => value !== null);
      const apart = runs.length === 2 ? (there.length === 2 ? there[1] - there[0] : null)
        : there.length ? Math.max(...there) - Math.min(...there) : null;
      return [key, ...values, apart];
    });
    const most = mostOf(rows.flatMap((row) => row.slice(1, -1)));
    const kind = measured(name) ? 'bar' : 'number';
    holder.replaceChildren(table([{ label: 'class', kind: 'name' },
      ...runs.map((run) => ({ label: run.name, mark: RUNS.indexOf(run), kind, most })),
      { label: runs.length === 2 ? 'change' : 'range', kind: runs.length === 2 ? 'change' : 'number' }], rows,
    { tall: true, filter: 12 }));
  }
  show(choice.value);
  return h('div', { class: 'stack' }, h('div', { class: 'controls' }, h('label', {}, 'figure', choice)), holder);
}

function confusion() {
  const runs = RUNS.filter((run) => run.confusion.length);
  if (!runs.length) return null;
  const objects = runs.some((run) => run.confusion.some((one) => one.objects));
  return section('confusion', 'Confusion', 'Rows are the truth. Each cell is coloured by its share of the row; the figures '
    + `are percent.${objects ? ' The background row holds what was found where nothing is, its column what was not found.' : ''}`,
  beside(runs, (run) => h('div', { class: 'stack' }, run.confusion.map((found) => {
    const words = [found.classes.length > NAMED ? 'Names appear under the pointer.' : '',
      found.left_out ? `Of the classes that occur, the ${found.left_out} rarest are left out.` : ''].join(' ').trim();
    const left = words ? h('p', { class: 'nothing' }, words) : null;
    const view = h('div', { class: 'matrix' }, h('div', {}, matrix(found), left), confused(found));
    return SEVERAL ? view : card(null, view);
  }))));
}

function confused(found) {
  if (!found.pairs.length) return h('p', { class: 'nothing' }, 'No class was taken for another.');
  return h('div', {}, h('h3', {}, 'Most confused'), table([{ label: 'truth', kind: 'name' }, { label: 'taken for' },
    { label: found.objects ? 'objects' : 'pixels', kind: 'number' }, { label: '% of truth', kind: 'bar', most: 100 }],
  found.pairs));
}

function errors() {
  const kinds = union(RUNS.map((run) => Object.keys(run.errors)));
  if (!kinds.length) return null;
  const charts = kinds.map((kind) => {
    const runs = RUNS.filter((run) => run.errors[kind]);
    const lane = (name) => ({ label: name, hint: KINDS[name], lanes: runs.map((run) => {
      const gain = run.errors[kind].dAP[name];
      return { value: gain ?? 0, colour: SEVERAL ? RUNS.indexOf(run) : name.startsWith('False') ? 6 : 0,
        text: gain === null ? '–' : `+${(100 * gain).toFixed(1)}`, soft: `${format(run.errors[kind].counts[name])} of them` };
    }) });
    const names = Object.keys(runs[0].errors[kind].dAP);
    const scores = runs.map((run) => [SEVERAL ? swatch(RUNS.indexOf(run)) : null,
      `AP50 ${format(run.errors[kind].AP50 === null ? null : 100 * run.errors[kind].AP50)}  `]);
    return card(null, h('h3', {}, `${{ bbox: 'Boxes', segm: 'Masks' }[kind] || kind}: `, scores),
      bars([...names.filter((name) => !name.startsWith('False')).map(lane), null,
        ...names.filter((name) => name.startsWith('False')).map(lane)]));
  });
  return section('errors', 'Errors', 'What keeps AP50 down, after TIDE (Bolya et al., ECCV 2020): by how many points it would '
    + 'rise without each kind of error, and how many of them there are.', h('div', { class: 'grid wide' }, charts));
}

function robustness() {
  const runs = RUNS.filter((run) => run.robustness.length);
  if (!runs.length) return null;
  const about = 'What mmseq robustness measured: corrupted images, outlines, sizes, views, places and calibration. Agreement '
    + 'is between predictions on an image and on its views. A click on a heading sorts, a click on a plot enlarges it.';
  return section('robustness', 'Robustness', about, beside(runs, (run) => h('div', { class: 'stack' }, run.robustness.map(measurement))));
}

function measurement(found) {
  const notes = found.notes.length ? h('ul', { class: 'notes' }, found.notes.map((note) => h('li', {}, note))) : null;
  const tables = found.tables.map((one) => {
    const node = card(one.title, table(one.columns, one.rows));
    node.classList.toggle('full', one.columns.length > 3);
    return node;
  });
  // Three panels beside each other need the whole width.
  const fit = ({ target }) => target.closest('.card').classList.toggle('full', target.naturalWidth > 3 * target.naturalHeight);
  const plots = found.pictures.map((one) => card(one.caption, h('figure', { class: 'plot' }, h('button', { type: 'button',
    onclick: () => show(one.caption, [one]), 'aria-label': `plot of ${one.caption}, larger` },
  h('img', { src: one.source, alt: `plot of ${one.caption}`, onload: fit })))));
  return h('div', { class: 'stack' }, h('h3', {}, found.title), notes, h('div', { class: 'grid wide' }, tables, plots));
}

function images() {
  const scored = RUNS.filter((run) => run.scores.length);
  if (!scored.length && !DATA.gallery.length) return null;
  const spread = scored.length ? beside(scored, (run) => {
    const view = [histogram(run.scores), h('p', { class: 'nothing' }, `${format(run.scores.length)} images by their score `
      + `(${run.errors.bbox || run.errors.segm ? 'F1' : 'mean IoU'} of the image, in percent)`)];
    return SEVERAL ? view : card(null, view);
  }) : null;
  const groups = DATA.gallery.map(({ runs, sections }) => [
    DATA.gallery.length > 1 ? h('div', { class: 'chips' }, runs.map((i) => h('span', { class: 'chip' }, swatch(i), RUNS[i].name)))
      : null,
    sections.map((one) => card(one.title, one.items.map((item) => shot(item)))),
  ]);
  const about = DATA.gallery.length ? 'Predicted again for this page, one image at a time. A click enlarges.' : null;
  return section('images', 'Images', about, h('div', { class: 'stack' }, spread, groups));
}

function shot(item) {
  const views = item.panels.map((panel) => h('figure', {},
    h('button', { type: 'button', onclick: () => enlarge(item), 'aria-label': `${panel.caption} of ${item.name}, larger` },
      h('img', { src: panel.source, alt: `${panel.caption} of ${item.name}`, width: panel.width, height: panel.height })),
    h('figcaption', {}, caption(panel, item))));
  const columns = views.length % 4 === 0 || views.length > 6 ? 4 : 3;
  return h('div', { class: 'shot' }, h('div', { class: 'caption' }, h('b', { title: item.path }, item.name),
    SEVERAL ? null : h('span', { class: 'soft' }, inWords(item.scores[0]))),
  h('div', { class: `panels ${columns === 3 ? 'three' : ''}` }, views));
}

const inWords = ({ score, words }) => [`score ${score === null ? '–' : score.toFixed(1)}`, words].filter(Boolean).join(', ');

function caption(panel, item) {
  if (panel.run === null || !SEVERAL) return panel.caption;
  return [h('span', { class: 'dot who' }, swatch(panel.run), RUNS[panel.run].name), h('br'),
    inWords(item.scores.find(({ run }) => run === panel.run))];
}

const enlarge = (item) => show(item.path, item.panels.map((panel) => ({ ...panel, words: caption(panel, item) })));

// Pictures as large as the window: {source, caption, words}.
function show(title, pictures) {
  const dialog = h('dialog', { onclose: () => dialog.remove(), onclick: (event) => {
    if (event.target === dialog) dialog.close();
  } }, h('div', { class: 'caption' }, h('span', {}, title),
    h('button', { type: 'button', class: 'close', onclick: () => dialog.close() }, 'close')),
  h('div', { class: 'panels' }, pictures.map((one) => h('figure', {}, h('img', { src: one.source, alt: one.caption }),
    one.words ? h('figcaption', {}, one.words) : null))));
  document.body.append(dialog);
  dialog.showModal();
}

const CHANGES = [{ label: 'entry', kind: 'key' }, { label: 'before', kind: 'text' }, { label: 'now', kind: 'text' }];

function config() {
  const runs = RUNS.filter((run) => run.config.text);
  if (!runs.length) return null;
  const one = (run) => h('div', { class: 'stack' }, [
    ['file', `What ${run.config.name} changes in its bases`], ['run', `What this run changed in ${run.config.name}`],
  ].filter(([key]) => run.config[key].length).map(([key, title]) => {
    const view = table(CHANGES, run.config[key], { class: 'changes', filter: 12, fixed: true });
    return SEVERAL ? h('details', {}, h('summary', {}, title), view) : card(title, view);
  }), wrap(h('details', {}, h('summary', {}, 'The whole config'), h('pre', {}, run.config.text))));
  const among = DATA.differences.length ? card('Entries that differ', table([{ label: 'entry', kind: 'key' },
    ...DATA.groups.map((group) => ({ label: group.name, kind: 'text' }))],
  DATA.differences.map(([key, values]) => [key, ...values]), { fixed: true, filter: 12 })) : null;
  return section('config', 'Config', null, h('div', { class: 'stack' }, among, beside(runs, one)));
}

const wrap = (node) => (SEVERAL ? node : card(null, node));

function environment() {
  const runs = RUNS.filter((run) => Object.keys(run.environment).length);
  if (!runs.length) return null;
  const keys = union(runs.map((run) => Object.keys(run.environment)));
  const rows = keys.map((key) => [key, ...runs.map((run) => run.environment[key] ?? null)]);
  return section('environment', 'Environment', SEVERAL ? 'What differs is marked.' : null, h('div', { class: 'card' },
    table([{ label: '', kind: 'key' }, ...runs.map((run) => ({ label: SEVERAL ? run.name : 'value', kind: 'text',
      mark: SEVERAL ? RUNS.indexOf(run) : undefined }))], rows,
    { fixed: true, mark: (row) => new Set(row.slice(1)).size > 1 })));
}

function spy(links) {
  const watcher = new IntersectionObserver((entries) => entries.forEach((entry) => {
    if (!entry.isIntersecting) return;
    links.forEach((link) => link.classList.toggle('here', link.hash === `#${entry.target.id}`));
  }), { rootMargin: '-10% 0px -75% 0px' });
  document.querySelectorAll('section').forEach((node) => watcher.observe(node));
}

function build() {
  const sections = [summary(), curves(), evaluations(), classes(), confusion(), errors(), robustness(), images(), config(),
    environment()].filter(Boolean);
  const links = sections.map(({ id, title }) => h('a', { href: `#${id}` }, title));
  const runs = SEVERAL ? h('div', { class: 'chips' }, RUNS.map((run, i) => h('span', { class: 'chip', title: run.folder },
    swatch(i), run.name))) : null;
  document.getElementById('page').replaceChildren(h('div', { class: 'frame' },
    h('nav', { 'aria-label': 'sections' }, h('div', { class: 'brand' }, 'mmseq ', h('span', {}, 'report')), links),
    h('main', {}, h('header', { class: 'top' }, h('h1', {}, DATA.title), h('p', { class: 'under' }, DATA.subtitle), runs),
      sections.map(({ node }) => node),
      h('footer', {}, `Made by mmseq ${DATA.version} on ${DATA.made}. Nothing on this page is loaded from elsewhere.`))));
  spy(links);
}

build();
