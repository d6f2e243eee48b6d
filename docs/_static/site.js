// A field above every long table: it shows the rows that have all its words. A click on a heading sorts them.
const LONG = 30;

function sort(body, rows, column, ascending) {
  const texts = new Map(rows.map((row) => [row, row.cells[column].textContent.trim()]));
  // A column without figures is sorted as words; a cell without one comes first.
  const words = rows.every((row) => !/\d/.test(texts.get(row).split(' ')[0]) || column === 0);
  const value = (row) => Number(texts.get(row).match(/\d+(\.\d+)?/)?.[0] ?? -1);
  const order = words ? (a, b) => texts.get(a).localeCompare(texts.get(b)) : (a, b) => value(a) - value(b);
  rows.sort((a, b) => (ascending ? order(a, b) : order(b, a)));
  body.append(...rows);
}

function makeSortable(heading, body, rows, column) {
  const button = document.createElement('button');
  button.type = 'button';
  button.append(...heading.childNodes);
  heading.append(button);
  button.addEventListener('click', () => {
    const ascending = heading.getAttribute('aria-sort') !== 'ascending';
    for (const other of heading.parentNode.cells) other.removeAttribute('aria-sort');
    heading.setAttribute('aria-sort', ascending ? 'ascending' : 'descending');
    sort(body, rows, column, ascending);
  });
}

function makeFilterable(table, rows) {
  const line = document.createElement('p');
  const field = document.createElement('input');
  const count = document.createElement('output');
  line.className = 'table-filter';
  line.append(field, count);
  Object.assign(field, { type: 'search', placeholder: 'Show rows with these words' });
  field.setAttribute('aria-label', field.placeholder);
  const show = () => {
    const words = field.value.toLowerCase().split(/\s+/).filter(Boolean);
    for (const row of rows) row.hidden = !words.every((word) => row.textContent.toLowerCase().includes(word));
    count.textContent = `${rows.filter((row) => !row.hidden).length} of ${rows.length} rows`;
  };
  field.addEventListener('input', show);
  (table.closest('.table-wrapper') ?? table).before(line);
  show();
}

for (const table of document.querySelectorAll('article table.docutils')) {
  const body = table.tBodies[0];
  const rows = [...body.rows];
  if (rows.length < LONG || !table.tHead) continue;
  table.classList.add('long');
  [...table.tHead.rows[0].cells].forEach((heading, column) => makeSortable(heading, body, rows, column));
  makeFilterable(table, rows);
}
