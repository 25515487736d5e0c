import { distribution } from './charts.js';
import { element, facts } from './dom.js';
import { duration, grouped, milliseconds, percent, ratio } from './format.js';

/** All that is known of one query. */
export function detailOf(query) {
  return element(
    'div',
    { class: 'detail' },
    element(
      'pre',
      { tabindex: '0', 'aria-label': 'Text of the query' },
      query.query || 'Texts are not kept (log_statements = "none").',
    ),
    element(
      'p',
      { class: 'quiet' },
      `${query.fingerprint} on ${query.source} → ${query.destination}, counted since ${new Date(query.since).toLocaleString()}`,
    ),
    facts([
      ['Calls', grouped(query.calls)],
      ['Rows', grouped(query.rows)],
      ['Compared for latency', grouped(query.samples)],
      ['Replayed late', grouped(query.late)],
      ['p95 ratio, 95 % confidence', confidence(query)],
      ['Time lost', duration(query.time_lost_ms)],
      ['Answers verified', percent(query.verified)],
    ]),
    percentiles(query),
    element(
      'figure',
      {},
      element('figcaption', {}, 'Latencies: source above, mirror below; longer to the right'),
      distribution(query.histograms),
    ),
    errors(query),
    classes(query),
  );
}

function confidence(query) {
  if (query.p95_ratio === null) return '–';
  return `${ratio(query.p95_ratio)} (${ratio(query.p95_ratio_low)} to ${ratio(query.p95_ratio_high)})`;
}

function percentiles(query) {
  const line = (side) =>
    element(
      'tr',
      {},
      element('th', { scope: 'row' }, side),
      ...['p50', 'p95', 'p99'].map((name) => element('td', {}, milliseconds(query[`${side}_${name}_ms`]))),
    );
  const heads = ['Side', 'p50', 'p95', 'p99'].map((name) => element('th', { scope: 'col' }, name));
  return element(
    'table',
    { class: 'small' },
    element('thead', {}, element('tr', {}, ...heads)),
    element('tbody', {}, line('source'), line('mirror')),
  );
}

function errors({ errors: { source, mirror } }) {
  const lines = [
    ['on the source', source],
    ['on the mirror', mirror],
  ].filter(([, counts]) => Object.keys(counts).length > 0);
  if (lines.length === 0) return undefined;
  return element(
    'section',
    {},
    element('h4', {}, 'Errors by SQLSTATE'),
    facts(
      lines.map(([side, counts]) => [
        side,
        Object.entries(counts)
          .map(([code, count]) => `${code} ${grouped(count)}`)
          .join(', '),
      ]),
    ),
  );
}

function classes({ classes: counts, examples }) {
  const entries = Object.entries(counts);
  if (entries.length === 0) return undefined;
  return element(
    'section',
    {},
    element('h4', {}, 'How answers differed'),
    element(
      'ul',
      {},
      ...entries.map(([name, count]) =>
        element('li', {}, element('strong', {}, `${name} ${grouped(count)}`), ...(examples[name] ?? []).map(example)),
      ),
    ),
  );
}

function example({ at, source, mirror, text }) {
  const when = new Date(at).toLocaleTimeString();
  return element(
    'p',
    {},
    `${when}: source ${source}, mirror ${mirror}`,
    text === undefined ? undefined : element('pre', { tabindex: '0' }, text),
  );
}
