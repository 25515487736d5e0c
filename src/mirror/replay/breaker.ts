const FIRST_DELAY_MS = 250;
const LAST_DELAY_MS = 10_000;
const MAX_REASON = 300;

/**
 * Closed while a mirror can be reached. Opened by a connection that could not be made; then nothing is sent or kept for
 * the mirror, and one connection is tried now and then, at intervals with jitter that grow until one is good for something.
 */
export class Breaker {
  readonly #probe: () => void;
  readonly #changed: (isOpen: boolean, reason: string) => void;
  #isOpen = false;
  #reason = '';
  #failures = 0;
  #timer: NodeJS.Timeout | undefined;

  /** `probe` tries one connection, and reports with `fail()` or `succeed()`; `changed` is called on every change. */
  constructor(handlers: { readonly probe: () => void; readonly changed: (isOpen: boolean, reason: string) => void }) {
    this.#probe = handlers.probe;
    this.#changed = handlers.changed;
  }

  get isOpen(): boolean {
    return this.#isOpen;
  }

  /** No connection has been good for something since it was opened last. */
  get isOnProbation(): boolean {
    return this.#failures > 0;
  }

  /** Why it is open; empty while it is closed. */
  get reason(): string {
    return this.#reason;
  }

  /** `reason` is cut short: it may be what a server said that is none. */
  fail(reason: string): void {
    const wasOpen = this.#isOpen;
    this.#isOpen = true;
    this.#reason = reason.slice(0, MAX_REASON);
    if (this.#timer === undefined) this.#schedule();
    if (!wasOpen) this.#changed(true, this.#reason);
  }

  /** A connection was made. What it is good for is not known yet: the next failure is waited out longer. */
  succeed(): void {
    this.stop();
    if (!this.#isOpen) return;
    this.#isOpen = false;
    this.#reason = '';
    this.#changed(false, '');
  }

  /** A connection was good for something: a failure from now on is the first. */
  proved(): void {
    this.#failures = 0;
  }

  /** Probes no more. */
  stop(): void {
    clearTimeout(this.#timer);
    this.#timer = undefined;
  }

  #schedule(): void {
    const delay = Math.min(FIRST_DELAY_MS * 2 ** this.#failures++, LAST_DELAY_MS);
    this.#timer = setTimeout(
      () => {
        this.#timer = undefined;
        this.#probe();
      },
      delay * (0.75 + Math.random() / 2),
    );
  }
}
