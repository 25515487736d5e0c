/** Where a column of an answer comes from, as its RowDescription says. */
export interface ColumnOrigin {
  /** `<oid of the table> <number of the column>`; the oid is 0 for what is computed. */
  readonly place: string;
  /** OID of its type. */
  readonly type: number;
}
