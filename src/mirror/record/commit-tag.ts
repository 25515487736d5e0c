const TAG = 5;
const [C, I] = [0x43, 0x49];
const LENGTH = 'C0000COMMIT0'.length;

/**
 * Whether the CommandComplete is that of a COMMIT. It comes when the transaction is committed, and not before. On the
 * client path: no other tag of this length begins with C.
 */
export function isCommitTag(bytes: Buffer, at: number, end: number): boolean {
  return end - at === LENGTH && bytes[at + TAG] === C && bytes[at + TAG + 4] === I;
}
