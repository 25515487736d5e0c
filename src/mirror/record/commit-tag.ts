const TAG = 5;
const [C, I, O, P, R] = [0x43, 0x49, 0x4f, 0x50, 0x52];
const COMMIT = lengthWith('COMMIT');
const COMMIT_PREPARED = lengthWith('COMMIT PREPARED');
const ROLLBACK_PREPARED = lengthWith('ROLLBACK PREPARED');
const PREPARE_TRANSACTION = lengthWith('PREPARE TRANSACTION');

/**
 * Whether the CommandComplete is that of a COMMIT or of a half of a two-phase commit. It comes when what was done is there
 * to stay, and not before. On the client path: the length passes over nearly all tags, and no other one of these lengths
 * has the letters looked at.
 */
export function isCommitTag(bytes: Buffer, at: number, end: number): boolean {
  switch (end - at) {
    case COMMIT:
    case COMMIT_PREPARED:
      return bytes[at + TAG] === C && bytes[at + TAG + 4] === I;
    case ROLLBACK_PREPARED:
      return bytes[at + TAG] === R && bytes[at + TAG + 1] === O;
    case PREPARE_TRANSACTION:
      return bytes[at + TAG] === P && bytes[at + TAG + 1] === R;
    default:
      return false;
  }
}

/** Whether a CommandComplete of that kind is that of a PREPARE TRANSACTION. */
export function isPrepareTag(at: number, end: number): boolean {
  return end - at === PREPARE_TRANSACTION;
}

function lengthWith(tag: string): number {
  return TAG + tag.length + 1;
}
