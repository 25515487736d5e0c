import { element, say } from './dom.js';
import { grouped, percent, ratio } from './format.js';
import { mirrorCards, remember } from './mirrors.js';
import { failures, setUp, showQueries } from './queries.js';

/** Asks now and then, and shows what it was told; what is known stays when nobody answers. */

const EVERY_MS = 2_000;
const TIMEOUT_MS = 8_000;

let answeredAt;

async function ask(path) {
  const answer = await fetch(path, { signal: AbortSignal.timeout(TIMEOUT_MS), cache: 'no-store' });
  if (!answer.ok) throw new Error(`${path} answered ${answer.status}: ${(await answer.text()).slice(0, 200)}`);
  return answer.json();
}

async function refresh() {
  try {
    const [{ mirrors }, { queries }] = await Promise.all([ask('mirrors'), ask('queries')]);
    answeredAt = new Date();
    remember(mirrors, answeredAt.getTime());
    document.querySelector('#mirrors').replaceChildren(...mirrorCards(mirrors));
    showQueries(queries);
    say(document.querySelector('#verdict'), verdict(mirrors, queries));
    document.querySelector('#verdict').className = isFine(mirrors, queries) ? 'fine' : 'attention';
    say(document.querySelector('#state'), `live, ${answeredAt.toLocaleTimeString()}`);
    document.querySelector('#disconnected').hidden = true;
  } catch (error) {
    disconnected(error);
  }
}

function disconnected(error) {
  const since = answeredAt === undefined ? '' : ` What is shown is of ${answeredAt.toLocaleTimeString()}.`;
  const banner = document.querySelector('#disconnected');
  say(banner, `pgmirror does not answer (${error.message}). Is it still running?${since} This page keeps asking.`);
  banner.hidden = false;
  say(document.querySelector('#state'), 'disconnected');
  if (answeredAt === undefined) {
    say(document.querySelector('#verdict'), 'Nothing is known yet.');
    document.querySelector('#mirrors').replaceChildren(element('p', { class: 'empty' }, 'Waiting for pgmirror.'));
  }
}

function isFine(mirrors, queries) {
  return (
    mirrors.every(({ state }) => state === 'up') &&
    !queries.some((query) => query.change === 'slower' || isWrong(query))
  );
}

function isWrong(query) {
  return failures(query) > 0 || query.mismatch > 0;
}

function verdict(mirrors, queries) {
  if (mirrors.length === 0) return 'No mirror is configured.';
  const away = mirrors
    .filter(({ state }) => state !== 'up')
    .map(({ destination, state }) => `${destination} is ${state}`);
  const slower = queries
    .filter(({ change }) => change === 'slower')
    .toSorted((a, b) => b.time_lost_ms - a.time_lost_ms);
  const worst =
    slower.length === 0
      ? ''
      : ` (${slower.length > 1 ? 'most of all ' : ''}${shortened(slower[0].query || slower[0].fingerprint)}, ${worstRatio(slower[0])})`;
  const failing = queries.filter((query) => failures(query) > 0).length;
  const different = queries.filter(({ mismatch }) => mismatch > 0).length;
  const found = [
    slower.length > 0 ? `${counted(slower.length)} slower on the mirror${worst}` : undefined,
    failing > 0 ? `${counted(failing)} failing only there` : undefined,
    different > 0 ? `${counted(different)} answered differently` : undefined,
  ].filter((part) => part !== undefined);
  if (away.length > 0 || found.length > 0) return `${[...away, ...found].join(', ')}.`;
  if (queries.length === 0) return 'Nothing has been replayed yet.';
  const open = queries.filter(({ change }) => change === 'unknown').length;
  return open > 0
    ? `Nothing is known to be slower, failing or different on the mirror${verified(mirrors)}. ${open} of ${counted(queries.length)} ran too seldom, late or unevenly to tell.`
    : `${mirrors.length === 1 ? 'The mirror does' : 'The mirrors do'} as well as the source${verified(mirrors)}.`;
}

/** The greater of those ratios that are no chance. */
function worstRatio({ p50_ratio: median, p50_ratio_low: least, p95_ratio: tail, p95_ratio_low: tailLeast }) {
  const inTheMiddle = least > 1 && (median > tail || tailLeast <= 1);
  return inTheMiddle ? `${ratio(median)} at p50` : `${ratio(tail)} at p95`;
}

/** How much of that is known from answers. */
function verified(mirrors) {
  const counts = mirrors.map(({ comparison }) => comparison);
  const of = (...names) => counts.reduce((sum, count) => sum + names.reduce((all, name) => all + count[name], 0), 0);
  const compared = of('match', 'mismatch', 'unverified', 'ambiguous');
  return compared === 0 ? '' : `; ${percent(of('match') / compared)} of ${grouped(compared)} answers were the same`;
}

function shortened(text) {
  return text.length > 60 ? `${text.slice(0, 59)}…` : text;
}

function counted(count) {
  return `${count} ${count === 1 ? 'query' : 'queries'}`;
}

setUp();
await refresh();
setInterval(() => {
  if (!document.hidden) void refresh();
}, EVERY_MS);
document.addEventListener('visibilitychange', () => {
  if (!document.hidden) void refresh();
});
