import type { Connect } from './connect.ts';
import type { MirroredTransaction } from './mirrored-transaction.ts';
import type { MirrorTargetConfig } from './mirror-process-messages.ts';
import type { MirrorTarget } from './mirror-target.ts';
import type { AnsweredRequest } from './replay-options.ts';

/** What a mirror needs from the process it is in. */
export interface MirrorTargetHost {
  readonly connect: Connect;
  /** Asks the source of a mirror; the rows. */
  askSource(config: MirrorTargetConfig, sql: string): Promise<(string | null)[][]>;
  /** Nothing is left on the mirror of a transaction that was prepared there. */
  preparedSettled(target: MirrorTarget, gid: string): void;
  /** Looks at a mirror: why it must not be used. Rejects where that cannot be found out. */
  objectionsTo(config: MirrorTargetConfig): Promise<readonly string[]>;
  /** A request was answered on the mirror. */
  requestAnswered(target: MirrorTarget, transaction: MirroredTransaction, request: AnsweredRequest): void;
  /** One of the mirror's transactions that is to be over before this begins, if there is any; `isLate`: and if they surely meet. */
  predecessorOf(
    target: MirrorTarget,
    transaction: MirroredTransaction,
    isLate: boolean,
  ): MirroredTransaction | undefined;
  /** The mirror went, is back, was refused or disabled. */
  stateChanged(target: MirrorTarget): void;
}
