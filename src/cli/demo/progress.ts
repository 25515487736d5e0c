import type { MirrorFigures } from './mirror-figures.ts';

/** Where the demo writes to: standard output, or a test's own. */
export interface Output {
  readonly isTTY?: boolean;
  readonly columns?: number;
  write(text: string): unknown;
}

const columns = ['time', 'client transactions', 'mirrored', 'dropped', 'queue', 'lag'] as const;

/**
 * The live figures. On a terminal one line that is written over each time, with a bar of how far the run is; elsewhere a new
 * line each time.
 */
export class Progress {
  readonly #output: Output;
  readonly #seconds: number;
  #begun = false;

  constructor(output: Output, seconds: number) {
    this.#output = output;
    this.#seconds = seconds;
  }

  /** Shows where things stand after so many seconds. */
  show(elapsed: number, transactions: number, figures: MirrorFigures): void {
    const { mirrored, dropped, queue, lagMs } = figures;
    const cells = [
      `${elapsed.toFixed(0)} s`,
      ...[transactions, mirrored, dropped, queue].map(grouped),
      `${grouped(lagMs)} ms`,
    ];
    if (!this.#begun) this.#output.write(`${columns.map((name) => name.padStart(width(name))).join('')}\n`);
    const line = cells.map((cell, index) => cell.padStart(width(columns[index] ?? ''))).join('');
    if (this.#output.isTTY !== true) this.#output.write(`${line}\n`);
    else this.#output.write(`${this.#begun ? '\u001B[1A\u001B[2K' : ''}${line}   ${this.#bar(elapsed)}\n`);
    this.#begun = true;
  }

  #bar(elapsed: number): string {
    const length = Math.min(20, Math.max(0, (this.#output.columns ?? 80) - 74));
    const filled = Math.round(length * Math.min(1, elapsed / this.#seconds));
    return '█'.repeat(filled) + '░'.repeat(length - filled);
  }
}

function width(name: string): number {
  return Math.max(10, name.length + 3);
}

/** Thousands apart: `12 345`, rounded to a whole number. */
export function grouped(count: number): string {
  return Math.round(count)
    .toString()
    .replaceAll(/\B(?=(?:\d{3})+$)/g, ' ');
}
