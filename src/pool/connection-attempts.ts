import { monotonicNow } from '../util/clock.ts';
import { connectServer } from './connect-server.ts';
import type { LoggedInServer } from './connect-server.ts';
import type { PoolBudgets, PoolOptions } from './pool-options.ts';
import { takeRoom } from './room.ts';
import { CheckoutError } from './waiting-line.ts';

/** After a failed connection attempt the next is not made before this many milliseconds. */
const RETRY_PAUSE_MS = 200;

/** The pool that connections are opened for. */
export interface AttemptsHost {
  /** As they are now. */
  options(): PoolOptions;
  /** How many clients wait for a connection, and may be given one. */
  wanted(): number;
  /** `options` are those of the moment when the attempt began. */
  opened(server: LoggedInServer, options: PoolOptions): void;
  failed(error: CheckoutError): void;
  log(message: string, fields: object): void;
}

/**
 * The attempts to open server connections for a pool: as many at once as clients wait, as far as the budgets have room for
 * them, and none for a while after one failed. That a server cannot be reached is logged once, until it is back.
 */
export class ConnectionAttempts {
  readonly #host: AttemptsHost;
  readonly #budgets: PoolBudgets;
  #underway = 0;
  #retryAt = 0;
  #retryTimer: NodeJS.Timeout | undefined;
  #isFailing = false;

  constructor(host: AttemptsHost, budgets: PoolBudgets) {
    this.#host = host;
    this.#budgets = budgets;
  }

  get underway(): number {
    return this.#underway;
  }

  /** Opens what clients wait for, now or when the pause is over. */
  openWanted(): void {
    while (this.#underway < this.#host.wanted()) {
      const pause = this.#retryAt - monotonicNow();
      if (pause > 0) {
        this.#retryTimer ??= setTimeout(() => {
          this.#retryTimer = undefined;
          this.openWanted();
        }, pause);
        return;
      }
      if (!this.#openOne()) return;
    }
  }

  /** Opens one that nobody waits for, unless others are being opened. */
  openSpare(): void {
    if (this.#underway === 0 && monotonicNow() >= this.#retryAt) this.#openOne();
  }

  /** What was opened with these options is of use. */
  succeeded(options: PoolOptions): void {
    this.#retryAt = 0;
    if (this.#isFailing) this.#host.log('server is back', { host: options.login.address.host });
    this.#isFailing = false;
  }

  /** None is begun by itself any more. */
  close(): void {
    clearTimeout(this.#retryTimer);
  }

  /** False: there is no room for it; it was asked for. */
  #openOne(): boolean {
    const options = this.#host.options();
    if (!takeRoom(this.#budgets, options, this.#host.wanted() > 0)) return false;
    this.#underway++;
    void this.#connect(options);
    return true;
  }

  async #connect(options: PoolOptions): Promise<void> {
    try {
      const server = await connectServer(options.login);
      this.#underway--;
      this.#host.opened(server, options);
    } catch (error) {
      this.#underway--;
      this.#budgets.database.closed();
      this.#budgets.pool.closed();
      this.#failed(error);
    }
  }

  #failed(error: unknown): void {
    const reason = error instanceof Error ? error.message : String(error);
    const { address, database, user } = this.#host.options().login;
    if (!this.#isFailing) {
      const { host, port } = address;
      this.#host.log('cannot connect to the server', { host, port, database, user, reason });
    }
    this.#isFailing = true;
    this.#retryAt = monotonicNow() + RETRY_PAUSE_MS;
    this.#host.failed(new CheckoutError('08006', `cannot connect to the server: ${reason}`, { cause: error }));
  }
}
