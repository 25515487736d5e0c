/** How a mirror's answers are compared with the source's. */
export interface CompareOptions {
  /** Each mismatch goes into the log, as one line. */
  readonly logMismatches: boolean;
  /** The mirror whose differences are noise. */
  readonly control?: number | undefined;
}
