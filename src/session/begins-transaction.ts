const BEGINS = /^[\s;]*(?:begin|start\s+transaction)\b[^;]*;?\s*$/i;
/** Longer than this is no BEGIN alone. */
const LOOK_AT = 256;

/** Whether the statement text at `start`, up to its zero byte, does nothing but begin a transaction block. */
export function beginsTransaction(bytes: Buffer, start: number): boolean {
  const first = (bytes[start] ?? 0) | 0x20;
  // Nearly every statement begins otherwise; SELECT does so with its second letter.
  if (first === 0x73 ? ((bytes[start + 1] ?? 0) | 0x20) !== 0x74 : first !== 0x62 && first > 0x3b) return false;
  const end = bytes.indexOf(0, start);
  return end >= 0 && end - start <= LOOK_AT && BEGINS.test(bytes.toString('latin1', start, end));
}
