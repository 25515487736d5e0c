import { lineChart } from './charts.js';
import { element, facts } from './dom.js';
import { bytes, duration, grouped, milliseconds, percent } from './format.js';

/** The state of each mirror, with its charts. */

const SPAN_MS = 10 * 60_000;
/** Mirrors whose history is kept. */
const MAX_MIRRORS = 50;

const histories = new Map();

/** What to do about a mirror that is not up. */
const ADVICE = {
  down: 'Nothing is mirrored until it is back: is its server running and reachable? pgmirror tries again by itself.',
  refused: 'Nothing is mirrored. `pgmirror check --connect` shows what it found; after a change, RELOAD.',
  disabled: 'Nothing is mirrored until ENABLE MIRROR in the admin database.',
};

/** Takes over what /mirrors told at a moment. */
export function remember(mirrors, now) {
  for (const mirror of mirrors.slice(0, MAX_MIRRORS)) {
    const key = keyOf(mirror);
    const history = histories.get(key) ?? [];
    histories.set(key, history);
    history.push({ at: now, mirror });
    while (history.length > 0 && now - history[0].at > SPAN_MS) history.shift();
  }
}

export function mirrorCards(mirrors) {
  if (mirrors.length > 0) return mirrors.map(card);
  return [
    element(
      'p',
      { class: 'empty' },
      'No mirror is configured. Add a [[mirroring]] section with source_db and destination_db to pgmirror.toml, and RELOAD.',
    ),
  ];
}

function card(mirror) {
  const title = `${mirror.source} → ${mirror.destination}`;
  const id = `mirror-${mirror.source}-${mirror.destination}`.replaceAll(/[^\w-]/g, '_');
  const advice = ADVICE[mirror.state];
  return element(
    'article',
    { class: 'card', 'aria-labelledby': id },
    element(
      'header',
      {},
      element('h3', { id }, title),
      element('span', { class: `badge ${mirror.state}` }, mirror.state),
    ),
    mirror.reason === '' ? undefined : element('p', { class: 'reason' }, mirror.reason),
    advice === undefined ? undefined : element('p', { class: 'advice' }, advice),
    headline(mirror),
    charts(keyOf(mirror)),
    more(mirror),
  );
}

function headline(mirror) {
  const dropped = sum(mirror.dropped);
  const problems = dropped - (mirror.dropped.exposure ?? 0) - (mirror.dropped.filtered ?? 0);
  return facts([
    ['Replayed', `${grouped(mirror.mirrored)} of ${grouped(mirror.total)}`],
    ['Exposure', percent(mirror.exposure)],
    ['Lag', duration(mirror.lag_ms)],
    ['Queue', `${grouped(mirror.queue_length)} (${bytes(mirror.queued_bytes)})`],
    ['Failed', grouped(mirror.failed + mirror.timed_out)],
    ['Lost to drops', grouped(problems)],
  ]);
}

function more(mirror) {
  const drops = Object.entries(mirror.dropped).filter(([, count]) => count > 0);
  const errors = Object.entries(mirror.errors);
  const { match, mismatch, unverified, ambiguous } = mirror.comparison;
  const notJudged = unverified + ambiguous;
  const lines = [
    drops.length === 0 ? undefined : ['Dropped', listed(drops)],
    errors.length === 0 ? undefined : ['Errors on the mirror alone (SQLSTATE)', listed(errors)],
    mirror.timed_out === 0 ? undefined : ['Timed out', grouped(mirror.timed_out)],
    match + mismatch + notJudged === 0
      ? undefined
      : ['Answers', `${grouped(match)} the same, ${grouped(mismatch)} not, ${grouped(notJudged)} not judged`],
    notJudged === 0 ? undefined : ['Not judged, because they', whyNotJudged(mirror.comparison)],
  ].filter((line) => line !== undefined);
  return lines.length === 0 ? undefined : facts(lines);
}

function whyNotJudged({ unverified, ambiguous, classes }) {
  const drifted = Math.min(unverified, classes.unverified ?? 0);
  const reasons = [
    [ambiguous, 'overlapped a write on the source, were cancelled, or depend on locks or on the order of rows'],
    [drifted, 'follow from what the mirror missed or did in another order'],
    [unverified - drifted, 'depend on values that each server makes for itself'],
  ];
  return reasons
    .filter(([count]) => count > 0)
    .map(([count, why]) => `${why} (${grouped(count)})`)
    .join('; ');
}

function charts(key) {
  const history = histories.get(key) ?? [];
  const times = history.map(({ at }) => at);
  const spanMs = Math.min(
    SPAN_MS,
    Math.max(60_000, Math.ceil(((times.at(-1) ?? 0) - (times[0] ?? 0)) / 60_000) * 60_000),
  );
  const latency = (side, percentile) => history.map(({ mirror }) => mirror.latency_ms[side][percentile] ?? undefined);
  const last = history.at(-1)?.mirror.latency_ms;
  const told = (side) =>
    `${side} p50 ${milliseconds(last?.[side].p50 ?? null)}, p95 ${milliseconds(last?.[side].p95 ?? null)}`;
  const rates = [rate(history, 'total'), rate(history, 'mirrored')];
  return element(
    'div',
    { class: 'charts' },
    lineChart({
      title: 'Latency of requests, last minute',
      summary: `${told('source')}; ${told('mirror')}`,
      times,
      spanMs,
      write: milliseconds,
      series: [
        {
          name: `source p50 ${milliseconds(last?.source.p50 ?? null)}`,
          className: 'source',
          values: latency('source', 'p50'),
        },
        {
          name: `source p95 ${milliseconds(last?.source.p95 ?? null)}`,
          className: 'source tail',
          values: latency('source', 'p95'),
        },
        {
          name: `mirror p50 ${milliseconds(last?.mirror.p50 ?? null)}`,
          className: 'mirror',
          values: latency('mirror', 'p50'),
        },
        {
          name: `mirror p95 ${milliseconds(last?.mirror.p95 ?? null)}`,
          className: 'mirror tail',
          values: latency('mirror', 'p95'),
        },
      ],
    }),
    lineChart({
      title: 'Transactions a second',
      summary: `source ${grouped(rates[0].at(-1) ?? 0)}, mirror ${grouped(rates[1].at(-1) ?? 0)}`,
      times,
      spanMs,
      write: grouped,
      series: [
        { name: `source ${grouped(rates[0].at(-1) ?? 0)}`, className: 'source', values: rates[0] },
        { name: `mirror ${grouped(rates[1].at(-1) ?? 0)}`, className: 'mirror', values: rates[1] },
      ],
    }),
  );
}

/** How fast a counter grew; a gap where it was reset. */
function rate(history, counter) {
  return history.map(({ at, mirror }, index) => {
    const before = history[index - 1];
    if (before === undefined || mirror[counter] < before.mirror[counter]) return undefined;
    return ((mirror[counter] - before.mirror[counter]) / (at - before.at)) * 1000;
  });
}

function listed(entries) {
  return entries.map(([name, count]) => `${name} ${grouped(count)}`).join(', ');
}

function sum(counts) {
  return Object.values(counts).reduce((total, count) => total + count, 0);
}

function keyOf({ source, destination }) {
  return JSON.stringify([source, destination]);
}
