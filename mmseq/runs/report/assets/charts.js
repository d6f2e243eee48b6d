'use strict';

// About `count` round numbers from low to high.
function ticks(low, high, count) {
  const rough = (high - low) / Math.max(1, count) || 1;
  const power = 10 ** Math.floor(Math.log10(rough));
  const step = [1, 2, 5, 10].map((m) => m * power).find((one) => one >= rough * 0.999);
  const found = [];
  for (let value = Math.ceil(low / step - 1e-9) * step; value <= high + step * 1e-6; value += step) {
    found.push(+value.toPrecision(12));
  }
  return found;
}

function logTicks(low, high) {
  const found = [];
  const wide = Math.log10(high / low) > 3;
  for (let power = Math.floor(Math.log10(low)); power <= Math.ceil(Math.log10(high)); power++) {
    for (const m of wide ? [1] : [1, 2, 5]) {
      const value = +(m * 10 ** power).toPrecision(6);
      if (value >= low * 0.999 && value <= high * 1.001) found.push(value);
    }
  }
  return found;
}

// Smallest and largest; of many runs there are more values than a call takes arguments.
const extent = (values) => values.reduce(([low, high], value) => [Math.min(low, value), Math.max(high, value)],
  [Infinity, -Infinity]);

// Mean over a centred window of a share of the curve, gaps left out.
function smooth(values, share) {
  const half = Math.max(1, Math.floor((values.length * share) / 2));
  const sums = [0], counts = [0];
  values.forEach((value, i) => {
    sums.push(sums[i] + (value ?? 0));
    counts.push(counts[i] + (value === null ? 0 : 1));
  });
  return values.map((_, i) => {
    const low = Math.max(0, i - half), high = Math.min(values.length, i + half + 1);
    const count = counts[high] - counts[low];
    return count ? (sums[high] - sums[low]) / count : null;
  });
}

// The curve's value at x, by straight lines between its points.
function at(x, xs, ys) {
  if (x <= xs[0]) return (ys[0] * x) / (xs[0] || 1);
  let i = 1;
  while (i < xs.length - 1 && xs[i] < x) i++;
  return ys[i - 1] + ((ys[i] - ys[i - 1]) * (x - xs[i - 1])) / (xs[i] - xs[i - 1] || 1);
}

function path(xs, ys, toX, toY) {
  let text = '', pen = false;
  xs.forEach((x, i) => {
    const y = ys[i];
    if (y === null || !Number.isFinite(toY(y))) {
      pen = false;
      return;
    }
    text += `${pen ? 'L' : 'M'}${toX(x).toFixed(1)} ${toY(y).toFixed(1)}`;
    pen = true;
  });
  return text;
}

// Lines over iterations or hours. panel: {title, metrics, steady, lines: [{name, x, y, hours, colour}]}
class LineChart {
  constructor(panel, options) {
    this.panel = panel;
    this.options = options;
    this.hidden = new Set();
    this.log = panel.title === 'loss' && this.decades() > 2;
    // what the panel's title says already
    const brief = (name) => (name.startsWith(`${panel.title}_`) ? name.slice(panel.title.length + 1) : name);
    this.svg = s('svg', { role: 'img', 'aria-label': `${panel.title} over ${options.over}` });
    const lines = panel.lines.map((line, i) => h('button', { type: 'button', 'aria-pressed': 'true',
      onclick: (event) => this.toggle(i, event.currentTarget) }, swatch(line.colour), brief(line.name)));
    this.node = h('div', { class: 'card chart', 'data-panel': panel.title }, h('h3', {}, panel.title), this.svg,
      h('div', { class: 'legend' }, lines.length > 1 || panel.metrics ? lines : []));
    this.svg.addEventListener('pointermove', (event) => this.point(event));
    this.svg.addEventListener('pointerdown', (event) => this.point(event));
    this.svg.addEventListener('pointerleave', () => this.leave());
    new ResizeObserver(() => this.draw()).observe(this.node);
  }

  decades() {
    const values = this.panel.lines.flatMap((line) => line.y).filter((y) => y !== null);
    const [low, high] = extent(values);
    return low > 0 ? Math.log10(high / low) : 0;
  }

  toggle(i, button) {
    if (this.hidden.has(i)) this.hidden.delete(i);
    else this.hidden.add(i);
    button.setAttribute('aria-pressed', String(!this.hidden.has(i)));
    this.draw();
  }

  xs(line) {
    return this.options.over === 'hours' && line.hours ? line.x.map((x) => at(x, line.hours.x, line.hours.y)) : line.x;
  }

  visible() {
    const share = this.panel.metrics || this.panel.steady ? 0 : this.options.smoothing;
    return this.panel.lines.filter((_, i) => !this.hidden.has(i)).map((line) => ({ ...line, x: this.xs(line),
      smooth: share && line.y.length > 20 ? smooth(line.y, share) : null }));
  }

  range(lines) {
    // where a curve is smoothed, single points of the noise may leave the picture
    const values = lines.flatMap((line) => (line.smooth && line.y.length > 60
      ? [...line.smooth, ...line.y.slice(5)] : line.y)).filter((y) => y !== null && (!this.log || y > 0));
    if (!values.length) return [0, 1];
    let [low, high] = extent(values);
    if (this.log) return [low * 0.95, high * 1.05];
    if (this.panel.steady) low = Math.min(0, low);
    const room = (high - low) * 0.06 || Math.abs(high) * 0.1 || 1;
    return [this.panel.steady ? low : low >= 0 ? Math.max(0, low - room) : low - room, high + room];
  }

  draw() {
    const width = this.svg.clientWidth || 320, height = 210;
    const lines = this.visible();
    const [low, high] = this.range(lines);
    const marks = this.log ? logTicks(low, high) : ticks(low, high, 5);
    const labels = marks.map(short);
    const left = 12 + 6.4 * Math.max(2, ...labels.map((label) => label.length)), bottom = height - 24, right = width - 8;
    const last = Math.max(...this.panel.lines.map((line) => this.xs(line).at(-1) ?? 1));
    const toX = (x) => left + ((right - left) * x) / (last || 1);
    const scale = this.log ? Math.log : (y) => y;
    const toY = (y) => bottom - ((bottom - 8) * (scale(y) - scale(low))) / (scale(high) - scale(low) || 1);
    this.frame = { lines, toX, toY, left, right, bottom };
    const parts = [];
    marks.forEach((mark, i) => {
      parts.push(s('line', { class: 'rule', x1: left, x2: right, y1: toY(mark), y2: toY(mark) }));
      parts.push(s('text', { class: 'axis', x: left - 7, y: toY(mark) + 4, 'text-anchor': 'end' }, labels[i]));
    });
    for (const mark of ticks(0, last, Math.max(2, Math.min(6, (right - left) / 90)))) {
      if (mark > last) continue;
      parts.push(s('text', { class: 'axis', x: toX(mark), y: height - 6, 'text-anchor': 'middle' }, short(mark)));
    }
    for (const line of lines) {
      const stroke = { stroke: colour(line.colour) };
      if (line.smooth) parts.push(s('path', { class: 'raw', style: stroke, d: path(line.x, line.y, toX, toY) }));
      const dashed = line.colour >= COLOURS ? '6 4' : null;
      parts.push(s('path', { class: 'line', style: stroke, 'stroke-dasharray': dashed,
        d: path(line.x, line.smooth || line.y, toX, toY) }));
      if (this.panel.metrics || line.x.length === 1) {
        line.x.forEach((x, i) => line.y[i] === null || parts.push(s('circle', { cx: toX(x), cy: toY(line.y[i]), r: 3,
          style: { fill: colour(line.colour) } })));
      }
    }
    this.cursor = s('g', {});
    this.svg.setAttribute('height', height);
    this.svg.replaceChildren(...parts, this.cursor);
  }

  point(event) {
    const { lines, toX, toY, left, right, bottom } = this.frame;
    const box = this.svg.getBoundingClientRect();
    const mouse = event.clientX - box.left;
    if (mouse < left - 8 || mouse > right + 8) return this.leave();
    const near = lines.map((line) => {
      let best = 0;
      line.x.forEach((x, i) => { if (Math.abs(toX(x) - mouse) < Math.abs(toX(line.x[best]) - mouse)) best = i; });
      return { line, i: best };
    }).filter(({ line, i }) => line.y[i] !== null && line.y[i] !== undefined);
    if (!near.length) return this.leave();
    const nearest = near.reduce((a, b) =>
      (Math.abs(toX(b.line.x[b.i]) - mouse) < Math.abs(toX(a.line.x[a.i]) - mouse) ? b : a));
    const x = nearest.line.x[nearest.i];
    const here = near.filter(({ line, i }) => Math.abs(toX(line.x[i]) - toX(x)) < 12);
    const value = ({ line, i }) => (line.smooth ? line.smooth[i] : line.y[i]);
    this.cursor.replaceChildren(s('line', { class: 'at', x1: toX(x), x2: toX(x), y1: 8, y2: bottom }),
      ...here.map((one) => s('circle', { cx: toX(one.line.x[one.i]), cy: toY(value(one)), r: 4,
        style: { fill: colour(one.line.colour) } })));
    here.sort((a, b) => value(b) - value(a));
    const title = this.options.over === 'hours' ? `${format(x)} hours` : `iteration ${format(Math.round(x))}`;
    tip.show(event, title, here.map((one) => [one.line.colour, one.line.name, format(value(one))]));
  }

  leave() {
    this.cursor?.replaceChildren();
    tip.hide();
  }
}

// A line without axes, for a tile.
function sparkline(values) {
  if (values.length < 2) return null;
  const low = Math.min(...values), high = Math.max(...values);
  const toX = (i) => 3 + (i * 174) / (values.length - 1), toY = (y) => 29 - ((y - low) / (high - low || 1)) * 24;
  return s('svg', { viewBox: '0 0 180 32', width: '100%', height: 32, 'aria-hidden': 'true' },
    s('path', { d: path(values.map((_, i) => i), values, toX, toY), fill: 'none', 'stroke-width': 2,
      style: { stroke: 'var(--accent)' } }),
    s('circle', { cx: toX(values.length - 1), cy: toY(values.at(-1)), r: 3, style: { fill: 'var(--accent)' } }));
}

// How many values fall into each twentieth of 0 to 100.
function histogram(values) {
  const bins = Array(20).fill(0);
  for (const value of values) bins[Math.min(19, Math.max(0, Math.floor(value / 5)))] += 1;
  const most = Math.max(...bins, 1), width = 720, height = 110;
  const bars = bins.map((count, i) => s('rect', { x: 2 + i * 36, width: 32, rx: 2, y: 88 - (80 * count) / most,
    height: (80 * count) / most, onpointermove: (event) =>
      tip.show(event, `score from ${5 * i} to ${5 * i + 5}`, [[null, 'images', format(count)]]),
    onpointerleave: () => tip.hide() }));
  const marks = [0, 25, 50, 75, 100].map((mark) => s('text', { class: 'axis', x: (mark * width) / 100, y: 106,
    'text-anchor': mark === 0 ? 'start' : mark === 100 ? 'end' : 'middle' }, mark));
  return h('div', { class: 'chart histogram' }, s('svg', { viewBox: `0 0 ${width} ${height}`, role: 'img',
    'aria-label': 'number of images by score' }, s('line', { class: 'rule', x1: 0, x2: width, y1: 88, y2: 88 }), bars, marks));
}

// Rows of named bars. groups: [{label, hint, lanes: [{value, colour, text, soft}]}] or null for a rule between them.
function bars(groups) {
  const most = Math.max(...groups.filter(Boolean).flatMap((group) => group.lanes.map((lane) => lane.value)), 1e-9);
  return h('div', { class: 'bars' }, groups.map((group) => (group === null ? h('hr') : [
    h('div', { class: 'what', title: group.hint }, group.label, h('small', {}, group.hint)),
    h('div', {}, group.lanes.map((lane) => h('div', { class: 'lane' },
      h('i', { style: { width: `${(68 * lane.value) / most}%`, background: colour(lane.colour) } }),
      h('span', {}, lane.text, ' ', h('small', {}, lane.soft))))),
  ])));
}

// Classes of a confusion matrix that have room for their names.
const NAMED = 45;

// Counts of true and predicted classes, rows are the truth and coloured by their share of it.
function matrix(found) {
  const count = found.classes.length, named = count <= NAMED;
  const side = Math.max(420, Math.min(count * 36, 620)), cell = side / count;
  const font = Math.max(6.5, Math.min(12.5, cell * 0.62));
  const longest = named ? Math.max(...found.classes.map((name) => Math.min(name.length, 22))) : 0;
  const left = named ? 18 + longest * font * 0.58 : 22, top = named ? 20 + longest * font * 0.44 : 22;
  const label = (name) => (name.length > 22 ? `${name.slice(0, 21)}…` : name);
  const parts = [s('rect', { class: 'board', x: left, y: top, width: side, height: side, rx: 4 })];
  const counts = new Map();
  for (const [row, column, n] of found.cells) {
    const share = n / (found.totals[row] || 1);
    counts.set(row * count + column, n);
    parts.push(s('rect', { class: row === column ? 'right' : 'wrong', 'fill-opacity': (0.06 + 0.94 * share ** 0.7).toFixed(3),
      x: left + column * cell + 0.5, y: top + row * cell + 0.5, width: Math.max(1, cell - 1), height: Math.max(1, cell - 1),
      rx: cell > 14 ? 2 : 0 }));
    if (cell >= 30 && share >= 0.005) {
      parts.push(s('text', { class: share > 0.5 ? 'count strong' : 'count', x: left + (column + 0.5) * cell,
        y: top + (row + 0.5) * cell + 4, 'text-anchor': 'middle', 'font-size': Math.min(12, cell * 0.32) },
      (100 * share).toFixed(share < 0.095 ? 1 : 0)));
    }
  }
  if (named) {
    found.classes.forEach((name, i) => {
      const middle = (i + 0.5) * cell;
      parts.push(s('text', { class: 'axis', x: left - 7, y: top + middle + font * 0.35, 'text-anchor': 'end',
        'font-size': font }, label(name)));
      parts.push(s('text', { class: 'axis', 'font-size': font,
        transform: `translate(${left + middle + font * 0.3} ${top - 7}) rotate(-45)` }, label(name)));
    });
  }
  const edge = named ? longest * font * 0.44 : 0;
  const mark = s('rect', { class: 'mark', width: cell, height: cell, visibility: 'hidden' });
  const picture = s('svg', { viewBox: `0 0 ${left + side + edge} ${top + side + 4}`, role: 'img',
    'aria-label': 'confusion matrix, rows are the truth' }, parts, mark);
  picture.addEventListener('pointermove', (event) => {
    const spot = new DOMPoint(event.clientX, event.clientY).matrixTransform(picture.getScreenCTM().inverse());
    const column = Math.floor((spot.x - left) / cell), row = Math.floor((spot.y - top) / cell);
    const inside = Math.min(row, column) >= 0 && Math.max(row, column) < count;
    mark.setAttribute('visibility', inside ? 'visible' : 'hidden');
    if (!inside) return tip.hide();
    mark.setAttribute('x', left + column * cell);
    mark.setAttribute('y', top + row * cell);
    const n = counts.get(row * count + column) || 0;
    tip.show(event, found.objects ? 'objects' : 'pixels', [[null, 'truth', found.classes[row]],
      [null, 'prediction', found.classes[column]], [null, 'count', format(n)],
      [null, `of all ${found.classes[row]}`, percent(n / (found.totals[row] || 1))]]);
  });
  picture.addEventListener('pointerleave', () => {
    mark.setAttribute('visibility', 'hidden');
    tip.hide();
  });
  return picture;
}
