import type { Outcome } from '../record/record-stream.ts';
import type { Timing } from './pacing.ts';

/** What a replayer takes from its mirror; read anew for each transaction. */
export interface ReplayOptions {
  readonly timing: Timing;
  /** For one request, beyond what it took on the source. */
  readonly timeoutMs: number;
  /** Settings that the mirror's configuration holds, whatever a client sets. */
  readonly fixedSettings: ReadonlySet<string>;
}

/** Who is told what became of a transaction. */
export interface ReplayObserver {
  /** A request was answered on both sides; times in microseconds. */
  timed(sourceTime: number, mirrorTime: number): void;
  /** The transaction is over. The connection is idle again, or over. */
  replayed(outcome: Outcome, sqlstates: readonly string[]): void;
  /** The connection ended between transactions. */
  lostIdle(): void;
}
