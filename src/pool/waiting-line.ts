import { monotonicNow } from '../util/clock.ts';
import type { ServerConnection } from './server-connection.ts';

/** Why a client got no server connection. `code` is an SQLSTATE. */
export class CheckoutError extends Error {
  override readonly name = 'CheckoutError';
  readonly code: string;

  constructor(code: string, message: string, options?: ErrorOptions) {
    super(message, options);
    this.code = code;
  }
}

/** One who waits for a connection. Exactly one of the two is called, once, unless the wait is given up. */
export interface Waiter<State> {
  granted(server: ServerConnection<State>): void;
  refused(error: CheckoutError): void;
}

interface Entry<State> {
  readonly waiter: Waiter<State>;
  readonly since: number;
}

/**
 * Those who wait for a connection of a pool, first come, first served. Whoever waits for longer than the limit is refused.
 */
export class WaitingLine<State> {
  readonly #limitMs: () => number;
  readonly #changed: (oldestSince: number | undefined) => void;
  #entries: Entry<State>[] = [];
  #deadline: NodeJS.Timeout | undefined;
  readonly #now: () => number;
  #patient = false;
  /** Since when RESUME has let those go who waited for it: nobody was late before. */
  #lateSince = -Infinity;
  /** What to add when somebody is refused: why no connection can be made. */
  trouble: string | undefined;

  /** `limitMs` tells the limit as it is now; `changed` is told since when the one waits who came first. */
  constructor(
    limitMs: () => number,
    changed: (oldestSince: number | undefined) => void,
    now: () => number = monotonicNow,
  ) {
    this.#limitMs = limitMs;
    this.#changed = changed;
    this.#now = now;
  }

  /** Whoever waits because of PAUSE waits for RESUME; from then on everybody has the whole time. */
  set patient(patient: boolean) {
    if (patient === this.#patient) return;
    this.#patient = patient;
    if (patient) return;
    this.#lateSince = this.#now();
    this.limitChanged();
  }

  /** When somebody is late is to be reckoned anew: a timer that runs, also one left by who has been served, is of before. */
  limitChanged(): void {
    clearTimeout(this.#deadline);
    this.#deadline = undefined;
    this.#update();
  }

  get length(): number {
    return this.#entries.length;
  }

  /** Since when the one waits who came first. */
  get oldestSince(): number | undefined {
    return this.#entries[0]?.since;
  }

  join(waiter: Waiter<State>): void {
    this.#entries.push({ waiter, since: this.#now() });
    this.#update();
  }

  /** Gives up waiting. */
  leave(waiter: Waiter<State>): void {
    const index = this.#entries.findIndex((entry) => entry.waiter === waiter);
    if (index < 0) return;
    this.#entries.splice(index, 1);
    this.#update();
  }

  /** Whoever came first, who waits no longer. */
  shift(): Waiter<State> | undefined {
    const first = this.#entries.shift();
    if (first !== undefined) this.#update();
    return first?.waiter;
  }

  refuseAll(error: CheckoutError): void {
    const entries = this.#entries;
    this.#entries = [];
    this.#update();
    for (const { waiter } of entries) waiter.refused(error);
  }

  /** Nobody comes any more. */
  close(error: CheckoutError): void {
    clearTimeout(this.#deadline);
    this.refuseAll(error);
  }

  /** Who waits has changed: the timer follows the oldest. */
  #update(): void {
    const oldest = this.oldestSince;
    this.#changed(oldest);
    if (oldest === undefined || this.#deadline !== undefined) return;
    const left = Math.max(oldest, this.#lateSince) + this.#limitMs() - this.#now();
    this.#deadline = setTimeout(() => this.#refuseLate(), Math.max(0, left));
  }

  #refuseLate(): void {
    const limitMs = this.#limitMs();
    this.#deadline = undefined;
    if (this.#patient) {
      this.#deadline = setTimeout(() => this.#refuseLate(), limitMs);
      return;
    }
    const late = this.#now() - limitMs;
    const isLate = (entry: Entry<State>): boolean => Math.max(entry.since, this.#lateSince) <= late + 1;
    const text = `no server connection became free within ${limitMs} ms (checkout_timeout)`;
    while (this.#entries[0] !== undefined && isLate(this.#entries[0])) {
      const reason = this.trouble === undefined ? text : `${text}: ${this.trouble}`;
      this.#entries.shift()?.waiter.refused(new CheckoutError('53300', reason));
    }
    this.#update();
  }
}
