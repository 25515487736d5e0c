/** What may have been under way in buffers, and what a mirror may answer more than its source without being stopped. */
const ALWAYS_BYTES = 16 * 1024 * 1024;
/** More than a pooler thread can pass on. */
const BYTES_PER_MS = 8 * 1024 * 1024;

/**
 * How many bytes of answers to a transaction a mirror connection takes before it is given up. How many the source's were is
 * not recorded; no more than it can have sent while the transaction lasted there. What goes beyond is not the same answer,
 * and reading it to its end would cost processor time and a network that production shares.
 */
export function answerAllowance(recorded: { readonly startedAt: number; readonly endedAt: number }): number {
  return ALWAYS_BYTES + Math.max(0, recorded.endedAt - recorded.startedAt) * BYTES_PER_MS;
}
