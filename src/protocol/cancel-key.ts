import { timingSafeEqual } from 'node:crypto';

/** What a session is cancelled with (manual, "Canceling Requests in Progress"). */
export interface CancelKey {
  readonly processId: number;
  /** Its bytes as Latin-1: a Buffer of four would take three hundred, for each of ten thousand idle clients. */
  readonly secretKey: string;
}

/** Whether both are the same, in a time that does not depend on how much of their secrets is. */
export function isSameKey(one: CancelKey, other: CancelKey): boolean {
  return (
    one.processId === other.processId &&
    one.secretKey.length === other.secretKey.length &&
    timingSafeEqual(secretBytes(one), secretBytes(other))
  );
}

/** The bytes of its secret, as BackendKeyData and CancelRequest carry them. */
export function secretBytes({ secretKey }: CancelKey): Buffer {
  return Buffer.from(secretKey, 'latin1');
}
