import type { RecordedTransaction } from '../record/record-stream-reader.ts';
import type { TwoPhase } from '../record/two-phase.ts';
import type { DropReason, Outcome } from '../record/record-stream.ts';
import type { StatementEpoch } from './declared-statements.ts';
import type { PreparedStatement } from './prepared-statement.ts';
import type { SessionSettings } from './session-settings.ts';
import type { StatementLookup } from './statement-tracker.ts';
import type { Treatment } from './treatment.ts';

/** The pooler thread that a transaction came from. */
export interface TransactionOrigin {
  /** What its clients prepared, by pool-wide name. */
  readonly statements: StatementLookup;
  /** Tells the thread what became of a transaction on one mirror; once for each target. */
  acknowledge(
    transaction: MirroredTransaction,
    target: number,
    outcome: Outcome,
    reason: DropReason | 0,
    sqlstates: readonly string[],
  ): void;
}

/** A recorded transaction on its way to its mirrors. */
export interface MirroredTransaction {
  readonly origin: TransactionOrigin;
  readonly recorded: RecordedTransaction;
  /** Keeps the statements that it may refer to. */
  readonly epoch: StatementEpoch;
  readonly settings: SessionSettings;
  /** What the unnamed statement was when the transaction began. */
  readonly unnamed: PreparedStatement | undefined;
  /** What is done with requests that are not simply sent, by index. */
  readonly treatments: ReadonlyMap<number, Treatment> | undefined;
  /** It calls set_config: the session's state is not known after it. */
  readonly configures: boolean;
  /** It may take advisory locks that outlive it. */
  readonly locks: boolean;
  /** The half of a two-phase commit that it did on the source. */
  readonly twoPhase: TwoPhase | undefined;
}
