const ENDS = /^[\s;]*(?:commit|end|rollback|abort|prepare\s+transaction)\b/i;
/** Longer than this is no COMMIT. */
const LOOK_AT = 64;

/**
 * Whether the statement text at `start` begins with a command that ends a transaction block. Only a hint (a comment
 * before the command hides it): it decides whether a client that vanished has its last statement cancelled.
 */
export function endsTransaction(bytes: Buffer, start: number): boolean {
  const first = (bytes[start] ?? 0) | 0x20;
  // Nearly every statement begins with another letter than these, or white space.
  if (first > 0x3b && first !== 0x63 && first !== 0x65 && first !== 0x72 && first !== 0x61 && first !== 0x70)
    return false;
  return ENDS.test(bytes.toString('latin1', start, Math.min(start + LOOK_AT, bytes.length)));
}
