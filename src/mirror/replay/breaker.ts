const FIRST_DELAY_MS = 250;
const LAST_DELAY_MS = 10_000;

/**
 * Closed while a mirror can be reached. Opened by a connection that could not be made; then nothing is sent or kept for
 * the mirror, and one connection is tried now and then, at growing intervals with jitter, until one succeeds.
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

  /** Why it is open; empty while it is closed. */
  get reason(): string {
    return this.#reason;
  }

  fail(reason: string): void {
    const wasOpen = this.#isOpen;
    this.#isOpen = true;
    this.#reason = reason;
    if (this.#timer === undefined) this.#schedule();
    if (!wasOpen) this.#changed(true, reason);
  }

  succeed(): void {
    this.stop();
    this.#failures = 0;
    if (!this.#isOpen) return;
    this.#isOpen = false;
    this.#reason = '';
    this.#changed(false, '');
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
