import { distribution } from './charts.js';
import { element, say } from './dom.js';
import { detailOf } from './query-detail.js';
import { duration, grouped, milliseconds, percent, ratio } from './format.js';

/** The table of queries: sorted, searched, and each with its detail on demand. */

const FIRST_ROWS = 50;
const columns = [
  { key: 'query', title: 'Query', of: (query) => query.query || query.fingerprint, text: true },
  { key: 'calls', title: 'Calls', of: (query) => query.calls, write: grouped, wide: true },
  { key: 'source_p95_ms', title: 'Source p95', of: (query) => query.source_p95_ms, write: milliseconds, wide: true },
  { key: 'mirror_p95_ms', title: 'Mirror p95', of: (query) => query.mirror_p95_ms, write: milliseconds, wide: true },
  { key: 'p95_ratio', title: 'Ratio', of: (query) => query.p95_ratio, write: ratio },
  { key: 'time_lost_ms', title: 'Time lost', of: (query) => query.time_lost_ms, write: duration },
  { key: 'error_new', title: 'New errors', of: failures, write: grouped },
  { key: 'mismatch', title: 'Mismatches', of: (query) => query.mismatch, write: grouped, wide: true },
  { key: 'verified', title: 'Verified', of: (query) => query.verified, write: percent, wide: true },
];

const rows = new Map();
let sorting = { key: 'time_lost_ms', descending: true };
let search = '';
let showAll = false;
let known = [];

/** How often a query failed on the mirror alone, or took too long there. */
export function failures({ error_new: errors, classes }) {
  return errors + (classes.timeout ?? 0);
}

/** Wires the table that stands in the page. */
export function setUp() {
  const head = document.querySelector('#queries thead tr');
  for (const column of columns) {
    const button = element('button', { type: 'button' }, column.title);
    button.addEventListener('click', () => sortBy(column));
    head.append(element('th', { scope: 'col', class: column.wide ? 'wide' : false, 'data-key': column.key }, button));
  }
  head.append(element('th', { scope: 'col', class: 'wide' }, 'Latencies'));
  document.querySelector('#search').addEventListener('input', ({ target }) => {
    search = target.value.toLowerCase();
    show();
  });
  document.querySelector('#more').addEventListener('click', () => {
    showAll = true;
    show();
  });
}

/** Takes over what /queries told. */
export function showQueries(queries) {
  known = queries;
  show();
}

function sortBy({ key, text }) {
  sorting = sorting.key === key ? { key, descending: !sorting.descending } : { key, descending: !text };
  show();
}

function show() {
  for (const head of document.querySelectorAll('#queries th[data-key]')) {
    if (head.dataset.key !== sorting.key) head.removeAttribute('aria-sort');
    else head.setAttribute('aria-sort', sorting.descending ? 'descending' : 'ascending');
  }
  const found = known.filter(
    ({ query, fingerprint, destination }) =>
      search === '' || `${query} ${fingerprint} ${destination}`.toLowerCase().includes(search),
  );
  const sorted = found.toSorted(compare);
  const shown = showAll ? sorted : sorted.slice(0, FIRST_ROWS);
  const body = document.querySelector('#queries tbody');
  const wanted = shown.flatMap((query) => update(query));
  const present = new Set(wanted);
  for (const [key, row] of rows) if (!present.has(row.main)) rows.delete(key);
  if (!sameOrder([...body.children], wanted)) rearrange(body, wanted);
  const more = document.querySelector('#more');
  more.hidden = shown.length === sorted.length;
  say(more, `Show all ${grouped(sorted.length)}`);
  const empty = document.querySelector('#no-queries');
  empty.hidden = shown.length > 0;
  say(
    empty,
    known.length > 0
      ? 'No query contains this.'
      : 'No query has been replayed yet. Clients that connect through pgmirror to a mirrored database will show here.',
  );
  document.querySelector('#queries').hidden = shown.length === 0;
}

function compare(a, b) {
  const { of } = columns.find(({ key }) => key === sorting.key);
  const [one, other] = [of(a), of(b)];
  if (one === other) return 0;
  // What is not known stands last, whichever way it is sorted.
  if (one === null) return 1;
  if (other === null) return -1;
  return one > other === sorting.descending ? -1 : 1;
}

/** The rows of a query, made or brought up to date. */
function update(query) {
  const key = JSON.stringify([query.source, query.destination, query.fingerprint]);
  let row = rows.get(key);
  if (row === undefined) {
    row = newRow(key);
    rows.set(key, row);
  }
  columns.forEach(({ of, write, text }, index) => {
    if (text) say(row.button, of(query));
    else say(row.main.children[index], write(of(query)));
  });
  row.main.classList.toggle('slower', query.change === 'slower');
  row.main.classList.toggle('failing', failures(query) > 0);
  row.main.classList.toggle('different', query.mismatch > 0);
  row.main.lastElementChild.replaceChildren(distribution(query.histograms, { small: true }));
  row.query = query;
  if (row.detail !== undefined) row.detail.firstElementChild.replaceChildren(detailOf(query));
  return row.detail === undefined ? [row.main] : [row.main, row.detail];
}

function newRow(key) {
  const button = element('button', { type: 'button', class: 'query', 'aria-expanded': 'false' });
  const main = element('tr', {}, element('th', { scope: 'row' }, button));
  for (const { wide, text } of columns) if (!text) main.append(element('td', { class: wide ? 'wide' : false }));
  main.append(element('td', { class: 'wide picture' }));
  const row = { main, button, detail: undefined, query: undefined };
  button.addEventListener('click', () => toggle(rows.get(key) ?? row));
  return row;
}

function toggle(row) {
  if (row.detail === undefined) {
    row.detail = element(
      'tr',
      { class: 'detail' },
      element('td', { colspan: columns.length + 1 }, detailOf(row.query)),
    );
    row.main.after(row.detail);
  } else {
    row.detail.remove();
    row.detail = undefined;
  }
  row.button.setAttribute('aria-expanded', String(row.detail !== undefined));
}

function sameOrder(present, wanted) {
  return present.length === wanted.length && present.every((row, index) => row === wanted[index]);
}

/** A row that is moved loses the focus: it gets it back. */
function rearrange(body, wanted) {
  const focused = document.activeElement;
  body.replaceChildren(...wanted);
  if (focused !== document.activeElement && body.contains(focused)) focused.focus({ preventScroll: true });
}
