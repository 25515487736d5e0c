import { setTimeout as delay } from 'node:timers/promises';

import { ExitStatus } from '../exit-status.ts';
import { fetchTold } from '../report/fetch-told.ts';
import { findings } from '../report/findings.ts';
import { formatReport } from '../report/format-report.ts';
import { FiguresReader, type MirrorFigures } from './mirror-figures.ts';
import { Progress } from './progress.ts';
import { compareRows } from './same-rows.ts';
import { forgottenIndex } from './schema.ts';
import { buildStage, type Stage } from './stage.ts';
import { sameRows, summaryOf, type DemoResult } from './summary.ts';
import { Workload } from './workload.ts';

/** How long to wait for the mirror to be there, and at the end for it to have caught up. */
const patienceMs = 20_000;
/** How much longer than it was told the demo goes on at most, on a machine too busy to show by then what the mirror lacks. */
const moreSeconds = 30;
/** For so long the report has to say the same. */
const sureSeconds = 3;

/**
 * The demo: two embedded PostgreSQL servers, pgmirror before one of them, and an application that uses it for so many seconds.
 * Gives the exit status: 0 only if both databases hold the same rows in the end.
 *
 * SIGINT and SIGTERM stop everything in order; a second one ends this process at once, and what it started is cleaned up
 * behind it. In no case does a process or a folder stay.
 */
export async function demo(options: { seconds: number }): Promise<number> {
  const interrupted = new AbortController();
  let signals = 0;
  const interrupt = (): void => {
    signals += 1;
    if (signals > 1) process.exit(ExitStatus.Failed);
    interrupted.abort(new Error('interrupted'));
  };
  process.on('SIGINT', interrupt).on('SIGTERM', interrupt);
  const outputClosed = (): void => interrupted.abort(new Error('nobody reads the output any more'));
  process.stdout.on('error', outputClosed);
  const stops: (() => Promise<void>)[] = [];
  try {
    const say = (text: string): void => void process.stdout.write(`${text}\n`);
    const stage = await buildStage((stop) => stops.push(stop), say, interrupted.signal);
    const result = await perform(stage, options.seconds, interrupted.signal);
    for (const line of summaryOf(result)) say(line);
    say(`\nThe mirror lacks an index, ${forgottenIndex}. What that means for the traffic, without knowing of it:`);
    say(`\npgmirror report --url ${stage.httpUrl}\n`);
    say(formatReport(findings(await fetchTold(stage.httpUrl), [], undefined), 'table').trimEnd());
    return sameRows(result) ? ExitStatus.Fine : ExitStatus.Failed;
  } catch (error) {
    if (!interrupted.signal.aborted) throw error;
    process.stdout.write('\ninterrupted: stopping what was started\n');
    return ExitStatus.Failed;
  } finally {
    // The last started is the first to stop: pgmirror before the servers behind it.
    while (stops.length > 0) await stops.pop()?.();
    process.off('SIGINT', interrupt).off('SIGTERM', interrupt);
    process.stdout.off('error', outputClosed);
  }
}

/** The application's run, with its figures every second, up to the comparison of both databases. */
async function perform(stage: Stage, seconds: number, interrupted: AbortSignal): Promise<DemoResult> {
  const reader = new FiguresReader(stage.adminUrl);
  await reader.connect();
  try {
    await mirrorIsUp(reader, interrupted);
    const workload = new Workload(stage.applicationUrl);
    const over = new AbortController();
    const stop = AbortSignal.any([interrupted, over.signal]);
    const running = workload.run(stop);
    let sure = 0;
    const isEnough = async (elapsed: number): Promise<boolean> => {
      if (elapsed > seconds - sureSeconds) sure = (await isSlowerKnown(stage.httpUrl)) ? sure + 1 : 0;
      return elapsed >= seconds + moreSeconds || (elapsed >= seconds && sure >= sureSeconds);
    };
    const progress = new Progress(process.stdout, seconds);
    const watching = showProgress(reader, workload, { progress, isEnough, stop }).finally(() => over.abort());
    const [, elapsed] = await Promise.all([running.finally(() => over.abort()), watching]);
    interrupted.throwIfAborted();

    const figures = await caughtUp(reader, workload.transactions, interrupted);
    const tables = await compareRows(stage.sourceUrl, stage.mirrorUrl);
    return { seconds: elapsed, counts: workload.counts, figures, tables };
  } catch (error) {
    if (interrupted.aborted) throw error;
    const { pgmirror } = stage;
    const what = (await pgmirror.hasEnded())
      ? 'pgmirror ended while the demo ran'
      : `the demo failed: ${messageOf(error)}`;
    const said = pgmirror.lastLines.map((line) => `\n  ${line}`).join('');
    throw new Error(`${what}; the last lines of pgmirror's log:${said}`, { cause: error });
  } finally {
    await reader.end();
  }
}

/** Shows a line of figures each second until that is enough or the signal comes; after how many seconds it was. */
async function showProgress(
  reader: FiguresReader,
  workload: Workload,
  options: {
    readonly progress: Progress;
    readonly isEnough: (elapsed: number) => Promise<boolean>;
    readonly stop: AbortSignal;
  },
): Promise<number> {
  const { progress, isEnough, stop } = options;
  const begun = performance.now();
  for (let second = 1; ; second += 1) {
    await delay(Math.max(0, begun + second * 1000 - performance.now()), undefined, { signal: stop }).catch(() => {});
    if (stop.aborted) return second;
    progress.show(second, workload.transactions, await reader.read());
    if (await isEnough(second)) return second;
  }
}

/** Whether the report names a query that is slower on the mirror. What is not told in time may be told the next time. */
async function isSlowerKnown(httpUrl: string): Promise<boolean> {
  const told = await fetchTold(httpUrl).catch(() => undefined);
  return told?.queries.some(({ change }) => change === 'slower') ?? false;
}

async function mirrorIsUp(reader: FiguresReader, signal: AbortSignal): Promise<void> {
  const { state, reason } = await until(
    reader,
    signal,
    (figures) => figures.state === 'up' || figures.state === 'refused',
  );
  if (state !== 'up') throw new Error(`the mirror is ${state}: ${reason}`);
}

/** Waits until nothing is queued any more; gives what is known when patience ends. */
async function caughtUp(reader: FiguresReader, transactions: number, signal: AbortSignal): Promise<MirrorFigures> {
  return until(reader, signal, ({ total, queue }) => total >= transactions && queue === 0);
}

async function until(
  reader: FiguresReader,
  signal: AbortSignal,
  reached: (figures: MirrorFigures) => boolean,
): Promise<MirrorFigures> {
  const giveUpAt = performance.now() + patienceMs;
  for (;;) {
    const figures = await reader.read();
    if (reached(figures) || performance.now() > giveUpAt) return figures;
    await delay(50, undefined, { signal });
  }
}

function messageOf(error: unknown): string {
  return error instanceof Error ? error.message : String(error);
}
