import { monotonicNow } from '../util/clock.ts';
import type { LoggedInServer } from './connect-server.ts';
import { ConnectionAttempts } from './connection-attempts.ts';
import type { PoolBudget } from './pool-budget.ts';
import type { PoolBudgets, PoolHooks, PoolOptions } from './pool-options.ts';
import { HandOver } from './hand-over.ts';
import { noStatistics } from './pool-statistics.ts';
import { ServerConnection } from './server-connection.ts';
import { serverRole, tellsRole } from './server-role.ts';
import type { ServerCloseReason } from './server-connection.ts';
import { CheckoutError, WaitingLine } from './waiting-line.ts';
import type { Waiter } from './waiting-line.ts';

const NOT_CONFIGURED = 'the database is no longer configured';
/** How many idle connections are looked at for one that suits. */
const SUITABLE_AMONG = 4;

/**
 * The server connections of one database and user.
 *
 * A connection is either idle (last in, first out, so that the few that are needed stay warm), in use, or being opened.
 * Waiting clients are served first come, first served: nobody gets an idle connection while another waits. Connections
 * are opened on demand while fewer than `size` are open in the whole process. Where opening fails and none is open,
 * everybody who waits is told why at once; where some are open, they go on waiting for those.
 */
export class Pool<State> {
  readonly statistics = noStatistics();
  #options: PoolOptions;
  readonly #hooks: PoolHooks<State>;
  readonly #budget: PoolBudget;
  readonly #budgets: PoolBudgets;
  readonly #idle: ServerConnection<State>[] = [];
  readonly #open = new Set<ServerConnection<State>>();
  readonly #waiting: WaitingLine<State>;
  readonly #handOver: HandOver;
  readonly #attempts: ConnectionAttempts;
  /** What the servers logged in to last can do. */
  #role: string | undefined;
  #closed = false;
  #paused = false;
  readonly #pauseDone: (() => void)[] = [];
  readonly #log: (message: string, fields: object) => void;

  constructor(
    options: PoolOptions,
    hooks: PoolHooks<State>,
    budgets: PoolBudgets,
    log: (message: string, fields: object) => void,
  ) {
    this.#options = options;
    this.#hooks = hooks;
    this.#budget = budgets.pool;
    this.#handOver = new HandOver(budgets);
    this.#budgets = budgets;
    this.#log = log;
    this.#waiting = new WaitingLine(
      () => this.#options.checkoutTimeoutMs,
      (oldestSince) => {
        this.#budget.waiting(oldestSince);
        if (oldestSince === undefined) budgets.database.wants(false);
      },
    );
    this.#attempts = new ConnectionAttempts(
      {
        options: () => this.#options,
        wanted: () => (this.#closed || this.#paused ? 0 : this.#waiting.length),
        opened: (server, madeWith) => this.#opened(server, madeWith),
        failed: (error) => this.#failed(error),
        log,
      },
      budgets,
    );
  }

  get options(): PoolOptions {
    return this.#options;
  }

  get connections(): ReadonlySet<ServerConnection<State>> {
    return this.#open;
  }

  get idleCount(): number {
    return this.#idle.length;
  }

  get waitingCount(): number {
    return this.#waiting.length;
  }

  get connecting(): number {
    return this.#attempts.underway;
  }

  /** How long the oldest client has waited, in milliseconds. */
  get longestWait(): number {
    const since = this.#waiting.oldestSince;
    return since === undefined ? 0 : monotonicNow() - since;
  }

  /**
   * An idle connection, now in use, or `undefined`: then the waiter is queued and will be told. `wish` is what
   * `suits` is asked with.
   */
  checkout(waiter: Waiter<State>, wish: string): ServerConnection<State> | undefined {
    if (this.#closed) {
      queueMicrotask(() => waiter.refused(new CheckoutError('57P03', NOT_CONFIGURED)));
      return undefined;
    }
    const free = this.#idle.length > 0 && this.#waiting.length === 0;
    if (free && !this.#idleTooLong()) return this.#takeIdle(wish);
    this.#waiting.join(waiter);
    if (this.#paused) return undefined;
    if (this.#idle.length > 0) this.#checkIdle();
    else this.#attempts.openWanted();
    return undefined;
  }

  /** Even the connection that was used last has been idle for so long that it must be tried first. */
  #idleTooLong(): boolean {
    const limit = this.#options.healthcheckMs;
    return limit > 0 && (this.#idle.at(-1)?.idleSince ?? 0) < monotonicNow() - limit;
  }

  #checkIdle(): void {
    const server = this.#idle.pop();
    if (server === undefined) return;
    this.#hooks.check(server, () => {
      if (server.closed) this.#attempts.openWanted();
      else this.release(server);
    });
  }

  get paused(): boolean {
    return this.#paused;
  }

  /**
   * Nobody is given a connection any more, and those that come free are closed, so that the server can be stopped or
   * replaced meanwhile; settles when none is in use but those that clients keep.
   */
  pause(): Promise<void> {
    this.#paused = true;
    this.#waiting.patient = true;
    this.#budgets.database.wants(false);
    for (const server of [...this.#idle]) server.close('paused');
    return new Promise((resolve) => {
      this.#pauseDone.push(resolve);
      this.#checkPaused();
    });
  }

  /** Whoever waits for RESUME is told that it will not come; whoever comes later waits no longer than others do. */
  endPatience(): void {
    this.#waiting.patient = false;
    this.#waiting.refuseAll(new CheckoutError('57P01', 'pgmirror is stopping, and the database is paused'));
  }

  resume(): void {
    this.#paused = false;
    this.#waiting.patient = false;
    this.#settlePause();
    this.#attempts.openWanted();
  }

  #checkPaused(): void {
    if (!this.#paused || this.#pauseDone.length === 0) return;
    for (const server of this.#open) if (server.user !== undefined && !server.pinned) return;
    this.#settlePause();
  }

  #settlePause(): void {
    for (const done of this.#pauseDone.splice(0)) done();
  }

  /** Gives up waiting. */
  leave(waiter: Waiter<State>): void {
    this.#waiting.leave(waiter);
  }

  /** Takes a clean connection back: to the client that has waited longest, here or in another thread, or to the idle. */
  release(server: ServerConnection<State>): void {
    if (server.closed || !this.#unpinned(server)) return;
    const role = server.retired ? undefined : this.#hooks.newRole(server.state);
    if (role !== undefined && role !== this.#role) this.#roleChanged(undefined);
    // More are open than a reload allows now.
    const surplus = this.#budget.open > this.#options.size;
    if (server.retired || surplus || this.#closed || this.#paused) {
      server.close(this.#closed ? 'removed' : this.#paused ? 'paused' : 'replaced');
      return;
    }
    if (server.cancels > 0) {
      // The cancel is meant for the client that had it; the next one must not be hit.
      server.awaitCancels(() => this.release(server));
      return;
    }
    if (this.#handOver.isDue(this.#waiting.oldestSince)) {
      server.close('room_for_others');
      return;
    }
    const next = this.#waiting.shift();
    if (next === undefined) {
      server.setUser(undefined);
      this.#idle.push(server);
      this.#handOver.becameIdle(this.#idle, this.#options.databaseSize > 0);
      return;
    }
    next.granted(server);
  }

  /** A client keeps its connection: it counts apart from the pool. False: there are too many such already. */
  pin(server: ServerConnection<State>): boolean {
    // It was kept for another reason, and its client went on before it could be handed back.
    if (server.pinned) return true;
    if (!this.#budgets.pinned.tryOpen(this.#options.pinnedSize)) return false;
    server.pinned = true;
    this.#budget.closed();
    this.#attempts.openWanted();
    return true;
  }

  /** A connection is wanted elsewhere. */
  makeRoom(): void {
    this.#handOver.makeRoom(this.#idle);
  }

  /** There may be room again for one more connection. */
  roomMayBe(): void {
    this.#attempts.openWanted();
  }

  /** Takes over changed options. Connections to where the pool no longer leads are closed when they are handed back. */
  reconfigure(options: PoolOptions): void {
    const before = this.#options;
    this.#options = options;
    if (before.checkoutTimeoutMs !== options.checkoutTimeoutMs) this.#waiting.limitChanged();
    if (before.loginKey !== options.loginKey) this.retireAll();
    while (this.#budget.open > options.size && this.#idle.length > 0) this.#idle[0]?.close('replaced');
    this.#attempts.openWanted();
  }

  /** Closes idle connections now and the others when they are handed back. */
  retireAll(): void {
    for (const server of this.#open) server.retired = true;
    for (const server of [...this.#idle]) server.close('replaced');
  }

  /** Closes connections that were idle or open for too long, and opens those that are to be kept. */
  sweep(): void {
    const now = monotonicNow();
    const { idleTimeoutMs, lifetimeMs, minSize } = this.#options;
    const isOver = ({ patience }: ServerConnection<State>, since: number, limitMs: number): boolean =>
      limitMs > 0 && now - since > limitMs * patience;
    for (const server of this.#open) {
      if (isOver(server, server.connectedAt, lifetimeMs)) server.retired = true;
    }
    for (const server of [...this.#idle]) {
      if (server.retired) server.close('server_lifetime');
      else if (this.#budget.open > minSize && isOver(server, server.idleSince, idleTimeoutMs))
        server.close('idle_timeout');
    }
    if (this.#budget.open < minSize && !this.#closed && !this.#paused) this.#attempts.openSpare();
  }

  /** Ends the waits, too. Nobody gets a connection any more; those in use are closed when they are handed back. */
  close(): void {
    this.#closed = true;
    this.#settlePause();
    this.#attempts.close();
    this.#handOver.close();
    this.#waiting.close(new CheckoutError('57P03', NOT_CONFIGURED));
    for (const server of [...this.#idle]) server.close('removed');
  }

  /** Closes every connection, in use or not. */
  destroy(): void {
    this.close();
    for (const server of [...this.#open]) server.close('shutdown');
  }

  #takeIdle(wish: string): ServerConnection<State> | undefined {
    const last = this.#idle.length - 1;
    const first = Math.max(0, last - SUITABLE_AMONG + 1);
    for (let index = last; index >= first; index--) {
      const server = this.#idle[index];
      if (server === undefined || !this.#hooks.suits(server.state, wish)) continue;
      if (index === last) this.#idle.pop();
      else this.#idle.splice(index, 1);
      return server;
    }
    return this.#idle.pop();
  }

  #opened(server: LoggedInServer, options: PoolOptions): void {
    const state = this.#hooks.open(server);
    const connection: ServerConnection<State> = new ServerConnection(
      server,
      state,
      (name, value) => {
        this.#hooks.parameterChanged(state, name, value);
        if (tellsRole(name)) this.#roleChanged(undefined);
      },
      (closed, reason) => this.#connectionClosed(closed, reason),
    );
    if (connection.closed) return;
    const role = serverRole(server.parameters);
    if (role !== (this.#role ??= role)) this.#roleChanged(role);
    this.#open.add(connection);
    this.#attempts.succeeded(options);
    this.#waiting.trouble = undefined;
    connection.retired = options.loginKey !== this.#options.loginKey;
    this.release(connection);
  }

  // Behind the same name there is another primary now, or the server is none any more: clients must not be left on what is
  // read-only while others write elsewhere.
  #roleChanged(role: string | undefined): void {
    const { address, database, user } = this.#options.login;
    this.#role = role;
    this.#log('the server has changed its role: connections made before are used no more', {
      host: address.host,
      port: address.port,
      database,
      user,
    });
    this.retireAll();
  }

  #failed(error: CheckoutError): void {
    this.#waiting.trouble = error.message;
    if (this.#budget.open === 0) this.#waiting.refuseAll(error);
    else this.#attempts.openWanted();
  }

  #connectionClosed(server: ServerConnection<State>, reason: ServerCloseReason): void {
    this.#open.delete(server);
    const index = this.#idle.indexOf(server);
    if (index >= 0) this.#idle.splice(index, 1);
    this.#log('server connection closed', { reason, processId: server.processId });
    (server.pinned ? this.#budgets.pinned : this.#budget).closed();
    this.#budgets.database.closed();
    this.#checkPaused();
    this.#attempts.openWanted();
  }

  /** A connection that was kept counts for the pool again; where that is full it is closed, and false returned. */
  #unpinned(server: ServerConnection<State>): boolean {
    if (!server.pinned) return true;
    if (!this.#budget.tryOpen(this.#options.size)) {
      server.close('room_for_others');
      return false;
    }
    server.pinned = false;
    this.#budgets.pinned.closed();
    return true;
  }
}
