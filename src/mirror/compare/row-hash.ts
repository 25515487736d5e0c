import { hash } from 'node:crypto';

/** A row at least this long is hashed by SHA-256: from here on that is faster than what JavaScript does byte by byte. */
export const LONG_ROW = 1024;
/** Columns whose values are told apart. */
export const MAX_COLUMNS = 16;

// FNV-1a's offset and prime, and constants of MurmurHash3: two hashes of 32 bits at a time.
const OFFSET_A = 0x811c9dc5;
const OFFSET_B = 0x9747b28c;
const PRIME_A = 0x01000193;
const PRIME_B = 0x85ebca6b;

/** The hash of one row, 64 bits in two halves, and what it adds to each column's sum. */
export class RowHash {
  a = 0;
  b = 0;
  /** Of the columns of all rows so far, whatever their order: sums modulo 2^32. */
  readonly columns = new Uint32Array(MAX_COLUMNS);
  /** The most columns that a row had, up to `MAX_COLUMNS`. */
  columnCount = 0;
  /** Every row's columns are in the sums. */
  columnsKnown = true;

  reset(): void {
    if (this.columnCount > 0) this.columns.fill(0);
    this.columnCount = 0;
    this.columnsKnown = true;
  }

  /** A whole DataRow: from its column count to its end. */
  dataRow(bytes: Buffer, at: number, end: number): void {
    if (end - at >= LONG_ROW) return this.long(hash('sha256', bytes.subarray(at, end), 'buffer'));
    const count = ((bytes[at] ?? 0) << 8) | (bytes[at + 1] ?? 0);
    if (count > MAX_COLUMNS) this.columnsKnown = false;
    if (count > this.columnCount) this.columnCount = Math.min(count, MAX_COLUMNS);
    let a = OFFSET_A ^ count;
    let b = OFFSET_B ^ count;
    let from = at + 2;
    for (let column = 0; column < count && from + 4 <= end; column++) {
      const length = readInt32(bytes, from);
      from += 4;
      // NULL has the length -1, and is no empty value.
      const to = Math.min(from + Math.max(length, 0), end);
      let c = OFFSET_A ^ length;
      a = Math.imul(a ^ length, PRIME_A);
      b = Math.imul(b ^ length, PRIME_B);
      for (const words = to - 3; from < words; from += 4) {
        const word = readInt32(bytes, from);
        c = Math.imul(c ^ word, PRIME_A);
        c = (c << 13) | (c >>> 19);
        b = Math.imul(b ^ word, PRIME_B);
        b = (b << 15) | (b >>> 17);
      }
      for (; from < to; from++) {
        const byte = bytes[from] ?? 0;
        c = Math.imul(c ^ byte, PRIME_A);
        b = Math.imul(b ^ byte, PRIME_B);
      }
      a = Math.imul(a ^ c ^ (c >>> 13), PRIME_A);
      if (column < MAX_COLUMNS) this.columns[column] = (this.columns[column] ?? 0) + scrambled(c);
    }
    this.a = scrambled(a);
    this.b = scrambled(b);
  }

  /** Bytes without columns: a CopyData, a function's value. */
  opaque(bytes: Buffer, at: number, end: number): void {
    if (end - at >= LONG_ROW) return this.long(hash('sha256', bytes.subarray(at, end), 'buffer'));
    let a = OFFSET_A;
    let b = OFFSET_B;
    for (let index = at; index < end; index++) {
      const byte = bytes[index] ?? 0;
      a = Math.imul(a ^ byte, PRIME_A);
      b = Math.imul(b ^ byte, PRIME_B);
    }
    this.columnsKnown = false;
    this.a = scrambled(a);
    this.b = scrambled(b);
  }

  /** The SHA-256 of a long one. */
  long(sha256: Buffer): void {
    this.columnsKnown = false;
    this.a = sha256.readUInt32LE(0);
    this.b = sha256.readUInt32LE(4);
  }
}

function readInt32(bytes: Buffer, at: number): number {
  return ((bytes[at] ?? 0) << 24) | ((bytes[at + 1] ?? 0) << 16) | ((bytes[at + 2] ?? 0) << 8) | (bytes[at + 3] ?? 0);
}

/** MurmurHash3's last step: a sum of what is not mixed well would say little. */
function scrambled(value: number): number {
  let mixed = Math.imul(value ^ (value >>> 16), 0x85ebca6b);
  mixed = Math.imul(mixed ^ (mixed >>> 13), 0xc2b2ae35);
  return (mixed ^ (mixed >>> 16)) >>> 0;
}
