import { createInterface } from 'node:readline';
import type { Readable } from 'node:stream';

import { within } from './eventually.ts';

/** A line of a JSON log. What was not JSON is a line with nothing but `msg`. */
export interface LogLine {
  readonly msg: string;
  readonly [field: string]: unknown;
}

/** Somebody waits for a line that fits. */
interface Waiter {
  readonly fits: (line: LogLine) => boolean;
  readonly found: PromiseWithResolvers<LogLine>;
}

/** Lines of a JSON log as they come, and waiting for one of them. */
export class LogLines {
  readonly lines: LogLine[] = [];
  readonly #waiters = new Set<Waiter>();
  #ended = false;

  constructor(stream: Readable) {
    const reader = createInterface({ input: stream });
    reader.on('line', (text) => {
      const line = parse(text);
      this.lines.push(line);
      for (const { fits, found } of this.#waiters) if (fits(line)) found.resolve(line);
    });
    reader.on('close', () => {
      this.#ended = true;
      for (const { found } of this.#waiters) found.reject(endedError());
    });
  }

  /**
   * The first line, from index `from` on, that fits; it may have come already or still be to come. Rejects when the time is
   * over or the log has ended.
   */
  async waitFor(fits: (line: LogLine) => boolean, { from = 0, timeoutMs = 10_000 } = {}): Promise<LogLine> {
    const known = this.lines.slice(from).find(fits);
    if (known !== undefined) return known;
    if (this.#ended) throw endedError();
    const waiter = { fits, found: Promise.withResolvers<LogLine>() };
    this.#waiters.add(waiter);
    try {
      return await within(waiter.found.promise, timeoutMs, 'a log line');
    } finally {
      this.#waiters.delete(waiter);
    }
  }
}

function endedError(): Error {
  return new Error('the log ended without the line that was waited for');
}

function parse(text: string): LogLine {
  try {
    const line: unknown = JSON.parse(text);
    if (typeof line === 'object' && line !== null && 'msg' in line) return line as LogLine;
  } catch {
    // not JSON
  }
  return { msg: text };
}
