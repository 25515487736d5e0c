import { createHash, hash } from 'node:crypto';
import type { Hash } from 'node:crypto';
import { Backend, HEADER_LENGTH } from '../../protocol/message-types.ts';
import { DIGEST_LENGTH, DigestFlag, DigestOffset } from './digest-format.ts';
import { LONG_ROW, RowHash } from './row-hash.ts';

/** Row hashes that are gathered before they go into the ordered digest. */
const GATHERED_ROWS = 128;
const MAX_TAG = DigestOffset.Columns - DigestOffset.Tag;
const ZERO = 0x30;
/** OIDs below are the same on all servers (FirstNormalObjectId, transam.h). */
const FIRST_NORMAL_OID = 16_384;

/**
 * What one request was answered, in so few bytes that it can travel with the request: command tags, rows, the names and types
 * of columns, a digest of the rows in their order and one whatever their order. The same on both sides for the same
 * answer, however it was cut into chunks. Rows are hashed where they lie and never kept.
 *
 * The ordered digest is the SHA-256 of the rows' hashes; a single row is told by its own hash, which is what makes short answers cheap.
 *
 * Use: `row` for each DataRow, CopyData and FunctionCallResponse that lies whole in a chunk; else `rowBegins` and `rowGoesOn`;
 * `description` and `commandComplete` for these; `suspended` for PortalSuspended and EmptyQueryResponse; `writeTo`, and `reset`, at ReadyForQuery.
 */
export class AnswerDigest {
  rows = 0;
  readonly #row = new RowHash();
  #sumA = 0;
  #sumB = 0;
  #shape = 0;
  #tags = 0;
  #affected = 0;
  readonly #lastTag = Buffer.alloc(MAX_TAG);
  #tagLength = 0;
  #described = false;
  readonly #gathered = Buffer.allocUnsafeSlow(GATHERED_ROWS * 8);
  #gatheredRows = 0;
  #ordered: Hash | undefined;
  /** A row that came in pieces: its type, its bytes while it is short, its hash where it is long. */
  #pieceType = 0;
  #pieces: Buffer[] = [];
  #piecesHash: Hash | undefined;

  reset(): void {
    this.rows = 0;
    this.#row.reset();
    this.#sumA = 0;
    this.#sumB = 0;
    this.#shape = 0;
    this.#tags = 0;
    this.#affected = 0;
    this.#tagLength = 0;
    this.#described = false;
    this.#gatheredRows = 0;
    this.#ordered = undefined;
    this.#pieces = [];
    this.#piecesHash = undefined;
  }

  /** A whole message with its header. */
  row(bytes: Buffer, at: number, end: number): void {
    if (bytes[at] === Backend.DataRow) this.#row.dataRow(bytes, at + HEADER_LENGTH, end);
    else this.#row.opaque(bytes, at + HEADER_LENGTH, end);
    this.#hashed();
  }

  /** The beginning of a message of `size` bytes, header and all; the header is whole. */
  rowBegins(bytes: Buffer, at: number, end: number, size: number): void {
    this.#pieceType = bytes[at] ?? 0;
    const isLong = size - HEADER_LENGTH >= LONG_ROW;
    this.#piecesHash = isLong ? createHash('sha256') : undefined;
    if (isLong) this.#piecesHash?.update(bytes.subarray(at + HEADER_LENGTH, end));
    else this.#pieces = [Buffer.from(bytes.subarray(at, end))];
  }

  /** More of it. */
  rowGoesOn(bytes: Buffer, at: number, end: number, isLast: boolean): void {
    if (this.#piecesHash !== undefined) this.#piecesHash.update(bytes.subarray(at, end));
    else this.#pieces.push(Buffer.from(bytes.subarray(at, end)));
    if (!isLast) return;
    if (this.#piecesHash !== undefined) {
      this.#row.long(this.#piecesHash.digest());
      this.#hashed();
    } else {
      const whole = Buffer.concat(this.#pieces);
      whole[0] = this.#pieceType;
      this.row(whole, 0, whole.length);
    }
    this.#pieces = [];
    this.#piecesHash = undefined;
  }

  /** A RowDescription: names, types and formats of columns. What tables they are of is each server's own affair. */
  description(bytes: Buffer, at: number, end: number): void {
    let shape = this.#shape ^ 0x811c9dc5;
    let from = at + HEADER_LENGTH + 2;
    while (from < end) {
      const zero = bytes.indexOf(0, from);
      if (zero < 0 || zero + 19 > end) break;
      for (let index = from; index <= zero; index++) shape = Math.imul(shape ^ (bytes[index] ?? 0), 0x01000193);
      const type = bytes.readUInt32BE(zero + 7);
      shape = Math.imul(shape ^ (type < FIRST_NORMAL_OID ? type : 1), 0x01000193);
      shape = Math.imul(shape ^ (bytes[zero + 18] ?? 0), 0x01000193);
      from = zero + 19;
    }
    this.#shape = shape >>> 0;
    this.#described = true;
  }

  /** A CommandComplete: its words, and the number of rows at its end. */
  commandComplete(bytes: Buffer, at: number, end: number): void {
    const from = at + HEADER_LENGTH;
    const to = end - 1;
    let wordsEnd = to;
    let count = 0;
    for (let scale = 1; wordsEnd > from && isDigit(bytes[wordsEnd - 1] ?? 0); scale *= 10) {
      count += ((bytes[--wordsEnd] ?? 0) - ZERO) * scale;
    }
    // "PREPARE TRANSACTION" has none; before that of an INSERT stands an OID, always 0 by now.
    this.#affected += wordsEnd === to ? 0 : count;
    this.#tagLength = Math.min(to - from, MAX_TAG);
    for (let index = 0; index < this.#tagLength; index++) this.#lastTag[index] = bytes[from + index] ?? 0;
    let tags = this.#tags ^ 0x811c9dc5;
    for (let index = from; index < wordsEnd; index++) tags = Math.imul(tags ^ (bytes[index] ?? 0), 0x01000193);
    this.#tags = tags >>> 0;
  }

  /** A portal stopped at its limit of rows, or there was nothing to run. */
  suspended(type: number): void {
    this.#tags = Math.imul(this.#tags ^ type, 0x01000193) >>> 0;
  }

  /** Writes `DIGEST_LENGTH` bytes. */
  writeTo(target: Buffer, at: number): void {
    const { columns, columnCount, columnsKnown } = this.#row;
    target.fill(0, at, at + DIGEST_LENGTH);
    target.writeDoubleLE(this.rows, at + DigestOffset.Rows);
    target.writeUInt32LE(this.#sumA, at + DigestOffset.Sum);
    target.writeUInt32LE(this.#sumB, at + DigestOffset.Sum + 4);
    this.#writeOrdered(target, at + DigestOffset.Ordered);
    target.writeUInt32LE(this.#shape, at + DigestOffset.Shape);
    target.writeUInt32LE(this.#tags, at + DigestOffset.Tags);
    target.writeDoubleLE(this.#affected, at + DigestOffset.Affected);
    target[at + DigestOffset.Flags] =
      (this.#described ? DigestFlag.Described : 0) | (columnsKnown ? DigestFlag.ColumnsKnown : 0);
    target[at + DigestOffset.ColumnCount] = columnCount;
    for (let index = 0; index < this.#tagLength; index++)
      target[at + DigestOffset.Tag + index] = this.#lastTag[index] ?? 0;
    for (let column = 0; column < columnCount; column++) {
      target.writeUInt32LE(columns[column] ?? 0, at + DigestOffset.Columns + 4 * column);
    }
  }

  #hashed(): void {
    const { a, b } = this.#row;
    this.rows++;
    this.#sumA = (this.#sumA + a) >>> 0;
    this.#sumB = (this.#sumB + b) >>> 0;
    if (this.#gatheredRows === GATHERED_ROWS) {
      this.#ordered ??= createHash('sha256');
      this.#ordered.update(this.#gathered);
      this.#gatheredRows = 0;
    }
    const at = this.#gatheredRows++ * 8;
    this.#gathered.writeUInt32LE(a, at);
    this.#gathered.writeUInt32LE(b, at + 4);
  }

  #writeOrdered(target: Buffer, at: number): void {
    const gathered = this.#gathered.subarray(0, this.#gatheredRows * 8);
    if (this.rows <= 1) gathered.copy(target, at);
    else {
      const digest = this.#ordered?.update(gathered).digest() ?? hash('sha256', gathered, 'buffer');
      digest.copy(target, at, 0, DigestOffset.Shape - DigestOffset.Ordered);
    }
  }
}

function isDigit(byte: number): boolean {
  return byte >= ZERO && byte <= ZERO + 9;
}
