import type { Logger } from 'pino';
import type { AnsweredRequest } from '../replay/replay-options.ts';

/** Bytes of a digest that are shown: rows, and what they are. */
const SHOWN = 40;

/** Writes a mismatch into the log. */
export function logMismatch(
  logger: Logger,
  mirror: { readonly source: string; readonly destination: string },
  mismatch: {
    readonly fingerprint: string;
    readonly class: string;
    readonly digests: AnsweredRequest['digests'];
    readonly text?: string;
  },
): void {
  const { digests, ...what } = mismatch;
  const hex = (digest: Buffer | undefined): string => digest?.toString('hex', 0, SHOWN) ?? '';
  logger.warn(
    { ...mirror, ...what, sourceDigest: hex(digests?.source), mirrorDigest: hex(digests?.mirror) },
    'the mirror answered differently',
  );
}
