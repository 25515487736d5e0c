import { monotonicNow } from '../../util/clock.ts';
import type { Connect } from './connect.ts';
import { ConnectRate } from './connect-rate.ts';
import { Definitions } from './definitions.ts';
import type { Lane } from './lane.ts';
import type { MirrorAccess } from './mirror-access.ts';
import { MirrorPool } from './mirror-pool.ts';
import type { PooledConnection, PoolOwner } from './mirror-pool.ts';
import type { MirrorLogin, MirrorTargetConfig } from './mirror-process-messages.ts';
import { Outages } from './outages.ts';
import { isLoginRefusal } from './safety-look.ts';
import { serverLoginOf } from './target-options.ts';

/** A login that was refused is tried again after this long. */
const REFUSED_LOGIN_MS = 10_000;

/** A mirror that has no connection to spare is asked for one again after this long. */
const TOO_MANY = '53300';
const TOO_MANY_MS = 1_000;
/** What a server says, in contrast to what is said of one that is not there. */
const SQLSTATE = /^[0-9A-Z]{5}$/;

/** What the pools of a mirror need. */
export interface MirrorPoolsHost extends PoolOwner {
  readonly connect: Connect;
  readonly access: MirrorAccess;
  /** The mirror refuses the pool's login: what waits there is to be dropped. */
  loginRefused(pool: MirrorPool): void;
}

/**
 * The pools of one mirror, one for each login, and how their connections are opened: at a bounded rate, and only with
 * the access's leave. Connections made for another address or other logins are closed when they come back.
 */
export class MirrorPools {
  readonly #host: MirrorPoolsHost;
  readonly #rate = new ConnectRate();
  readonly #definitions = new Definitions();
  readonly #outages = new Outages();
  readonly #timers = new Set<NodeJS.Timeout>();
  #config: MirrorTargetConfig;
  #pools = new Map<string, MirrorPool>();
  /** Those of earlier configurations that have connections in use. */
  readonly #retired = new Set<MirrorPool>();
  #loginOf = new Map<string, MirrorLogin>();
  /** Whose connection failed last: what is tried to find out whether the mirror is back. */
  #probing: MirrorPool | undefined;
  /** Raised when the connections that are there must not be used any more. */
  #generation = 0;

  constructor(host: MirrorPoolsHost, config: MirrorTargetConfig) {
    this.#host = host;
    this.#config = config;
    this.#setLogins();
  }

  get all(): Iterable<MirrorPool> {
    return this.#pools.values();
  }

  /** Connections of all pools, those included on which only what runs is finished. */
  *connections(): Iterable<PooledConnection> {
    for (const pool of this.#pools.values()) yield* [...pool.connections];
    for (const pool of this.#retired) {
      if (pool.connections.size === 0) this.#retired.delete(pool);
      else yield* [...pool.connections];
    }
  }

  /** As whom a client user's transactions are replayed. */
  loginOf(user: string): MirrorLogin | undefined {
    return this.#loginOf.get(user) ?? this.#config.fallback;
  }

  /** The pool that replays a client user's transactions. */
  poolFor(user: string): MirrorPool | undefined {
    const login = this.loginOf(user);
    return login && this.#poolOf(login);
  }

  /** The login was refused, and is not tried yet again. A pool that was replaced says nothing of the new one. */
  isRefused(pool: MirrorPool): boolean {
    if (pool.isRetired) return false;
    return pool.refusedUntil > 0 && pool.connections.size === 0 && monotonicNow() < pool.refusedUntil;
  }

  /** Applies changed sizes. */
  resize(config: MirrorTargetConfig): void {
    this.#config = config;
    for (const pool of this.#pools.values()) {
      pool.size = config.poolSize;
      pool.pinnedSize = config.pinnedPoolSize;
    }
  }

  /** Begins anew with this configuration's address and logins. The lanes that stood in line. */
  retire(config: MirrorTargetConfig): Lane[] {
    const waiting: Lane[] = [];
    // Of earlier ones, lanes may have sessions still.
    for (const pool of [...this.#retired, ...this.#pools.values()]) {
      waiting.push(...pool.takeWaiting());
      pool.retire(sessionKey(this.#config, pool.login) !== sessionKey(config, pool.login));
      if (pool.connections.size > 0) this.#retired.add(pool);
    }
    this.#pools = new Map();
    this.#config = config;
    this.#setLogins();
    return waiting;
  }

  /** A pool wants one more connection; a probe finds out whether the mirror is back, others are for a mirror that is there. */
  open(pool: MirrorPool, isProbe: boolean): void {
    const now = monotonicNow();
    // A look makes a connection of its own.
    if (!this.#host.access.isPassed) this.#rate.take(now);
    const wait = this.#rate.take(now);
    if (wait === 0) {
      void this.#connect(pool, this.#generation, isProbe);
      return;
    }
    const timer = setTimeout(() => {
      this.#timers.delete(timer);
      void this.#connect(pool, this.#generation, isProbe);
    }, wait);
    this.#timers.add(timer);
  }

  /** Looks after what takes too long. */
  sweep(now: number): void {
    for (const { replayer } of this.connections()) replayer.checkTimeout(now);
    const trialEnded = this.#host.access.endTrial(now);
    for (const pool of this.all) {
      pool.reviewWaiting();
      if (trialEnded || (pool.retryAt > 0 && now >= pool.retryAt)) pool.grow();
    }
  }

  /** Tries one connection, to find out whether the mirror is back. */
  probe(): void {
    const login = this.#config.fallback ?? this.#config.users[0];
    const pool = this.#probing ?? (login && this.#poolOf(login));
    pool?.probe();
  }

  destroy(): void {
    this.retire(this.#config);
    for (const timer of this.#timers) clearTimeout(timer);
    this.#timers.clear();
  }

  #poolOf(login: MirrorLogin): MirrorPool {
    let pool = this.#pools.get(login.user);
    if (pool === undefined) {
      const { poolSize, pinnedPoolSize } = this.#config;
      pool = new MirrorPool(this.#host, login, { size: poolSize, pinnedSize: pinnedPoolSize });
      this.#pools.set(login.user, pool);
    }
    return pool;
  }

  async #connect(pool: MirrorPool, generation: number, isProbe: boolean): Promise<void> {
    const { preparedStatementsLimit } = this.#config;
    const { access, connect } = this.#host;
    // Given up since it was asked for: only what was tried for that says that the mirror is back.
    const isVain = (): boolean => generation !== this.#generation || (access.isGivenUp && !isProbe);
    try {
      if (isVain() || !(await access.mayConnect()) || isVain()) return pool.openFailed();
      const server = await connect(serverLoginOf(this.#config, pool.login));
      if (isVain()) {
        server.socket.destroy();
        return pool.openFailed();
      }
      access.connected();
      pool.opened(server, { preparedStatementsLimit, definitions: this.#definitions, outages: this.#outages });
    } catch (error) {
      pool.openFailed();
      if (generation === this.#generation) this.#connectFailed(pool, error as Error & { code?: string });
    }
  }

  #connectFailed(pool: MirrorPool, error: Error & { code?: string | undefined }): void {
    if (isLoginRefusal(error)) {
      pool.refusedUntil = pool.retryAt = monotonicNow() + REFUSED_LOGIN_MS;
      if (pool.connections.size === 0) this.#host.loginRefused(pool);
      this.#host.access.connected();
      return;
    }
    // Too many connections: those that are there go on, and what is missed is tried again.
    if (error.code === TOO_MANY && pool.connections.size > 0) {
      pool.retryAt = monotonicNow() + TOO_MANY_MS;
      return this.#host.access.connected();
    }
    this.#probing = pool;
    if (!SQLSTATE.test(error.code ?? '')) this.#outages.unreachable();
    this.#host.access.failed(error.message);
  }

  #setLogins(): void {
    this.#generation++;
    this.#probing = undefined;
    this.#loginOf = new Map(this.#config.users.map((login) => [login.name, login]));
  }
}

/** Where and as whom a login's sessions are, and what they may do: nobody keeps one for which that is another by now. */
function sessionKey({ address, database, level, users, fallback }: MirrorTargetConfig, login: MirrorLogin): string {
  const isKnown = [fallback, ...users].some((one) => one?.user === login.user && one.password === login.password);
  return JSON.stringify([address, database, level === 'read', isKnown]);
}
