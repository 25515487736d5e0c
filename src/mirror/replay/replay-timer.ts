import { monotonicNow } from '../../util/clock.ts';

/** How long a cancelled request may take to end before the connection is closed. */
const CANCEL_GRACE_MS = 2000;
/** A CancelRequest that the source heeded is sent to the mirror again after this long. */
const CANCEL_AGAIN_MS = 1000;

/** What one mirror connection waits for: the end of a think time, the moment of a cancel, the end of its patience. */
export class ReplayTimer {
  /** The transaction's time is up; what is left of it is only to be ended. */
  timedOut = false;
  #deadline = 0;
  #timer: NodeJS.Timeout | undefined;

  /** A transaction begins. */
  reset(): void {
    this.timedOut = false;
  }

  think(milliseconds: number, then: () => void): void {
    this.#timer = setTimeout(then, milliseconds);
  }

  /** Cancels again and again, for what has not begun cannot be cancelled. `after` in microseconds. */
  cancelLater(after: number, cancel: () => void): void {
    this.#timer = setTimeout(
      () => {
        this.cancelLater(CANCEL_AGAIN_MS * 1000, cancel);
        cancel();
      },
      Math.round(after / 1000),
    );
  }

  /** An answer is to come within this time; where the time was up before, soon. */
  expect(withinMs: number): void {
    this.#deadline = monotonicNow() + (this.timedOut ? CANCEL_GRACE_MS : withinMs);
  }

  /** Whether an answer is overdue: for the first time, and then again where cancelling did not help. */
  check(now: number): 'first' | 'again' | undefined {
    if (this.#deadline === 0 || now < this.#deadline) return undefined;
    if (this.timedOut) return 'again';
    this.timedOut = true;
    this.#deadline = now + CANCEL_GRACE_MS;
    return 'first';
  }

  /** The answer is there, or nothing is waited for any more. */
  clear(): void {
    this.#deadline = 0;
    if (this.#timer === undefined) return;
    clearTimeout(this.#timer);
    this.#timer = undefined;
  }
}
