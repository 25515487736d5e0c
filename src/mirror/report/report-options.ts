/** How much is kept for the report, and what it may show. */
export interface ReportOptions {
  /** Kinds of queries that are kept one by one, on each mirror. */
  readonly queries: number;
  /** What of a statement's text may be shown. */
  readonly statements: 'none' | 'fingerprint' | 'full';
}
