'use strict';

// Nothing last, numbers by size, texts by their letters.
function compare(a, b, sign) {
  const empty = [a, b].map((value) => value === null || value === undefined || value === '');
  if (empty[0] || empty[1]) return empty[0] - empty[1];
  if (typeof a === 'number' && typeof b === 'number') return sign * (a - b);
  return sign * String(a).localeCompare(String(b), 'en', { numeric: true });
}

/* A table that sorts by a click on a heading.
   columns: [{label, mark, kind: 'name' | 'number' | 'bar' | 'change' | 'key' | 'text', most}], rows: arrays of values. */
function table(columns, rows, options = {}) {
  const body = h('tbody');
  const heads = columns.map((column, i) => h('th', { class: numeric(column) ? 'number' : null, scope: 'col' },
    options.fixed ? heading(column) : h('button', { type: 'button', onclick: () => sort(i) }, heading(column))));
  const shown = rows.map((row) => ({ row, node: h('tr', { class: options.mark?.(row) ? 'differs' : null },
    row.map((value, i) => cell(columns[i], value))) }));
  body.append(...shown.map((one) => one.node));

  function sort(i, descending) {
    const before = heads[i].getAttribute('aria-sort');
    const falling = descending ?? (before ? before === 'ascending' : numeric(columns[i]));
    heads.forEach((head) => head.removeAttribute('aria-sort'));
    heads[i].setAttribute('aria-sort', falling ? 'descending' : 'ascending');
    // rows that are equal stay as the file has them
    const order = shown.map((one, place) => ({ one, place }));
    order.sort((a, b) => compare(a.one.row[i], b.one.row[i], falling ? -1 : 1) || a.place - b.place);
    body.replaceChildren(...order.map(({ one }) => one.node));
  }

  const view = h('div', { class: options.tall ? 'scroll tall' : 'scroll' },
    h('table', { class: options.class }, h('thead', {}, h('tr', {}, heads)), body));
  if (options.sorted !== undefined) sort(options.sorted, options.falling);
  if (rows.length <= (options.filter ?? Infinity)) return view;
  const search = h('input', { type: 'search', placeholder: 'filter', 'aria-label': 'filter rows', oninput: () => {
    const wanted = search.value.toLowerCase();
    for (const { row, node } of shown) node.hidden = !row.some((value) => String(value).toLowerCase().includes(wanted));
  } });
  return h('div', { class: 'stack' }, h('div', { class: 'controls' }, search), view);
}

const numeric = (column) => ['number', 'bar', 'change'].includes(column.kind);
const heading = (column) => [column.mark === undefined ? null : swatch(column.mark), column.label];

function cell(column, value) {
  const nothing = value === null || value === undefined;
  if (column.kind === 'bar') {
    const share = nothing ? 0 : Math.max(0, Math.min(1, value / (column.most || 1)));
    return h('td', { class: 'number' }, h('span', { class: 'bar' }, format(value),
      h('i', { style: { width: `${100 * share}%` } })));
  }
  if (column.kind === 'change') {
    const way = nothing || Math.abs(value) < 1e-9 ? null : value > 0 ? 'up' : 'down';
    return h('td', { class: `number ${way || ''}` }, nothing ? '–' : `${value > 0 ? '+' : ''}${format(value)}`);
  }
  if (column.kind === 'text') {
    if (nothing) return h('td', { class: 'text none' }, 'none');
    const text = h('div', { class: 'clamp', title: 'click for all of it' }, value);
    text.addEventListener('click', () => text.classList.toggle('open'));
    return h('td', { class: 'text' }, text);
  }
  if (column.kind === 'run') return h('td', { class: 'name' }, h('span', { class: 'dot' }, swatch(value[0]), value[1]));
  return h('td', { class: column.kind || null }, format(value));
}
