import { DropReason, dropReasonNames } from './record-stream.ts';

/**
 * Why a transaction was not mirrored, in the order in which reasons count: what is known when it starts, what shows while
 * it is recorded, what shows at its end, and what the mirror process finds. Counters have one cell for each.
 */
export const DROP_REASONS = [
  'refused',
  'filtered',
  'exposure',
  'mirror_down',
  'too_large',
  'bytes_full',
  'aborted',
  'queue_full',
  'unsafe',
  'denied',
  'no_user',
  'session_lost',
  'lag',
  'lost',
] as const;
export type DropReasonName = (typeof DROP_REASONS)[number];

/** Where a reason's cell is. */
export const dropReasonIndex: Readonly<Record<DropReasonName, number>> = Object.fromEntries(
  DROP_REASONS.map((name, index) => [name, index]),
) as Record<DropReasonName, number>;

/** Reasons that somebody has chosen, that are told of as a state of the mirror, or that clients give every day. */
const EXPECTED: ReadonlySet<DropReasonName> = new Set([
  'refused',
  'filtered',
  'exposure',
  'mirror_down',
  'aborted',
  'lost',
]);
/** By index: whether it is worth a line in the log that transactions are dropped for this reason. */
export const isNoteworthy: readonly boolean[] = DROP_REASONS.map((name) => !EXPECTED.has(name));

const indexByCode: number[] = [];
for (const code of Object.values(DropReason)) {
  indexByCode[code] = dropReasonIndex[dropReasonNames[code] as DropReasonName];
}

/** The cell of a reason that the mirror process gave. */
export function indexOfDropReason(code: number): number {
  return indexByCode[code] ?? dropReasonIndex.lost;
}
