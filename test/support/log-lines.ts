import { createInterface } from 'node:readline';
import type { Readable } from 'node:stream';

import { within } from './eventually.ts';

/** A line of a JSON log. What was not JSON is a line with nothing but `msg`. */
export interface LogLine {
  readonly msg: string;
  readonly [field: string]: unknown;
}

/** Lines of a JSON log as they come, and waiting for one of them. */
export class LogLines {
  readonly lines: LogLine[] = [];
  readonly #waiters = new Set<(line: LogLine) => void>();

  constructor(stream: Readable) {
    createInterface({ input: stream }).on('line', (text) => {
      const line = parse(text);
      this.lines.push(line);
      for (const waiter of this.#waiters) waiter(line);
    });
  }

  /** The first line, from index `from` on, that fits; it may have come already or still be to come. */
  async waitFor(fits: (line: LogLine) => boolean, { from = 0, timeoutMs = 10_000 } = {}): Promise<LogLine> {
    const known = this.lines.slice(from).find(fits);
    if (known !== undefined) return known;
    const found = Promise.withResolvers<LogLine>();
    const waiter = (line: LogLine): void => {
      if (fits(line)) found.resolve(line);
    };
    this.#waiters.add(waiter);
    try {
      return await within(found.promise, timeoutMs, 'a log line');
    } finally {
      this.#waiters.delete(waiter);
    }
  }
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
