/** Length of an answer's digest, as it travels behind its request. */
export const DIGEST_LENGTH = 144;

/** Where each part of a digest lies. */
export const DigestOffset = {
  /** f64: DataRow, CopyData and FunctionCallResponse messages. */
  Rows: 0,
  /** 8 bytes: the sum of the rows' hashes, whatever their order. */
  Sum: 8,
  /** 24 bytes: of the rows in their order. */
  Ordered: 16,
  /** u32: names, types and formats of columns, where they were told. */
  Shape: 40,
  /** u32: the words of the command tags. */
  Tags: 44,
  /** f64: the numbers in the command tags, added up. */
  Affected: 48,
  /** u8: DigestFlag bits. */
  Flags: 56,
  /** u8: columns that the sums below are of. */
  ColumnCount: 57,
  /** 22 bytes: the last command tag, zero bytes behind it. */
  Tag: 58,
  /** 16 × u32: for each column the sum of its values' hashes. */
  Columns: 80,
} as const;

export const DigestFlag = {
  /** A RowDescription was among the answers. */
  Described: 1,
  /** The columns' sums are of all rows. */
  ColumnsKnown: 2,
} as const;
