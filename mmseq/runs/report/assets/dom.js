'use strict';
// Everything that comes from files goes into the page as text or as an attribute, never as markup.

const SVG = 'http://www.w3.org/2000/svg';
const COLOURS = 7;

function fill(node, attributes, children) {
  for (const [name, value] of Object.entries(attributes || {})) {
    if (value === null || value === undefined || value === false) continue;
    if (name === 'style') Object.assign(node.style, value);
    else if (name.startsWith('on')) node.addEventListener(name.slice(2), value);
    else node.setAttribute(name, value === true ? '' : value);
  }
  for (const child of children.flat(Infinity)) {
    if (child !== null && child !== undefined) node.append(child);
  }
  return node;
}

const h = (tag, attributes, ...children) => fill(document.createElement(tag), attributes, children);
const s = (tag, attributes, ...children) => fill(document.createElementNS(SVG, tag), attributes, children);

const colour = (i) => `var(--c${i % COLOURS})`;
const swatch = (i) => h('i', { class: 'swatch', style: { background: colour(i) } });
const card = (title, ...children) => h('div', { class: 'card' }, title ? h('h3', {}, title) : null, ...children);

const grouped = new Intl.NumberFormat('en-US');
const rounded = new Intl.NumberFormat('en-US', { maximumSignificantDigits: 4 });

function format(value) {
  if (value === null || value === undefined) return '–';
  if (typeof value === 'string') return value;
  if (Number.isInteger(value)) return grouped.format(value);
  return Math.abs(value) < 1e-3 ? value.toExponential(2) : rounded.format(value);
}

const percent = (share) => `${(100 * share).toFixed(share < 0.0995 ? 1 : 0)} %`;

function short(value) {
  const size = Math.abs(value);
  if (size >= 1e6) return `${+(value / 1e6).toPrecision(4)}M`;
  if (size >= 1e4) return `${+(value / 1e3).toPrecision(4)}k`;
  if (size && size < 1e-4) return value.toExponential(1).replace('.0e', 'e');
  return `${+value.toPrecision(6)}`;
}

const tip = {
  node: null,
  show(event, title, rows) {
    if (!this.node) document.body.append((this.node = h('div', { class: 'tip', role: 'status' })));
    const lines = rows.map(([mark, name, value]) =>
      h('div', { class: 'row' }, mark === null ? null : swatch(mark), name, value === undefined ? null : h('b', {}, value)));
    this.node.replaceChildren(...(title ? [h('div', { class: 'title' }, title)] : []), ...lines);
    const box = this.node.getBoundingClientRect();
    const left = event.clientX + 16 + box.width > innerWidth ? event.clientX - box.width - 14 : event.clientX + 16;
    this.node.style.left = `${Math.max(4, left)}px`;
    this.node.style.top = `${Math.max(4, Math.min(event.clientY + 14, innerHeight - box.height - 6))}px`;
    this.node.hidden = false;
  },
  hide() {
    if (this.node) this.node.hidden = true;
  },
};
addEventListener('scroll', () => tip.hide(), { passive: true });
