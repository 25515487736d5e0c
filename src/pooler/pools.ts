import { Pool } from '../pool/pool.ts';
import type { PoolHooks, PoolOptions } from '../pool/pool.ts';
import type { PoolBudget } from '../pool/pool-budget.ts';
import type { LoggedInServer } from '../pool/connect-server.ts';
import { ServerSession } from '../session/server-session.ts';
import { serverPassword } from './directory.ts';
import type { PoolerDatabase, PoolerLimits, PoolerMode, PoolerRoute } from './pooler-options.ts';
import { runTask } from './server-task.ts';
import { WelcomeDesk } from './welcome.ts';

/** A pool with what it welcomes clients with. */
export interface NamedPool {
  readonly database: string;
  readonly user: string;
  readonly pool: Pool<ServerSession>;
  readonly desk: WelcomeDesk;
  readonly mode: PoolerMode;
}

/** What names the budget that all pools of a database share. */
function databaseKey(database: string): string {
  return JSON.stringify([database]);
}

/** What names the shared budget of a pool. */
function poolKey(database: string, user: string): string {
  return JSON.stringify([database, user]);
}

/** Stands for every database; no name is empty. */
const ALL = '';
/** How long a server may take to answer an empty query. */
const CHECK_MS = 5_000;

const HOOKS: PoolHooks<ServerSession> = {
  open: (server: LoggedInServer) => new ServerSession(server.parameters),
  parameterChanged: (state, name, value) => (state.reported = state.reported.with(name, value)),
  suits: (state, wish) => state.applied.key === wish,
  check: (server, done) => runTask(server, '', CHECK_MS, done),
};

/** The pools of a thread, one for each database and user, made when the first client needs one. */
export class Pools {
  readonly #pools = new Map<string, NamedPool>();
  readonly #budget: (key: string, shared: boolean) => Promise<PoolBudget>;
  readonly #log: (message: string, fields: object) => void;
  readonly #pausedDatabases = new Set<string>();
  readonly #making = new Map<string, Promise<NamedPool>>();

  /** `budget` gives the share of all threads in a pool. */
  constructor(options: {
    readonly budget: (key: string, shared: boolean) => Promise<PoolBudget>;
    readonly log: (message: string, fields: object) => void;
  }) {
    this.#budget = options.budget;
    this.#log = options.log;
  }

  all(): Iterable<NamedPool> {
    return this.#pools.values();
  }

  /** Somebody wants a connection within a budget, or there is room in it again. */
  announced(what: 'wanted' | 'room', key: string): void {
    const one = this.#pools.get(key);
    const pools = one === undefined ? [...this.all()].filter(({ database }) => databaseKey(database) === key) : [one];
    if (what === 'room') {
      for (const { pool } of pools) pool.roomMayBe();
      return;
    }
    // A connection is made room for by the pool that has most idle.
    pools.sort((a, b) => b.pool.idleCount - a.pool.idleCount)[0]?.pool.makeRoom();
  }

  /** The pool of a user's way to a database. */
  async get(user: string, database: PoolerDatabase, route: PoolerRoute, limits: PoolerLimits): Promise<NamedPool> {
    const key = poolKey(database.name, user);
    const known = this.#pools.get(key);
    if (known !== undefined) return known;
    let making = this.#making.get(key);
    if (making === undefined) {
      making = this.#make(key, user, database, route, limits);
      this.#making.set(key, making);
    }
    return making;
  }

  /** Applies changed options to a pool that exists. */
  reconfigure(user: string, database: PoolerDatabase, route: PoolerRoute, limits: PoolerLimits): void {
    this.#pools.get(poolKey(database.name, user))?.pool.reconfigure(poolOptions(database, route, limits));
  }

  /** Gives a pool up: nobody is let in, and connections go as they are handed back. */
  remove(named: NamedPool): void {
    named.pool.close();
    this.#pools.delete(poolKey(named.database, named.user));
  }

  /** PAUSE: nobody gets a connection; settles when nobody has one. `database` undefined: all. */
  async pause(database: string | undefined): Promise<void> {
    this.#pausedDatabases.add(database ?? ALL);
    await Promise.all(this.#of(database).map(({ pool }) => pool.pause()));
  }

  resume(database: string | undefined): void {
    if (database === undefined) this.#pausedDatabases.clear();
    else this.#pausedDatabases.delete(database);
    for (const { pool } of this.#of(database)) pool.resume();
  }

  /** RECONNECT: connections made before are used no more. */
  reconnect(database: string | undefined): void {
    for (const { pool } of this.#of(database)) pool.retireAll();
  }

  #of(database: string | undefined): NamedPool[] {
    return [...this.all()].filter((named) => database === undefined || named.database === database);
  }

  sweep(): void {
    for (const { pool } of this.#pools.values()) pool.sweep();
  }

  destroy(): void {
    for (const { pool } of this.#pools.values()) pool.destroy();
    this.#pools.clear();
  }

  async #make(
    key: string,
    user: string,
    database: PoolerDatabase,
    route: PoolerRoute,
    limits: PoolerLimits,
  ): Promise<NamedPool> {
    try {
      const budgets = {
        pool: await this.#budget(key, false),
        pinned: await this.#budget(`${key} pinned`, false),
        database: await this.#budget(databaseKey(database.name), true),
      };
      const pool = new Pool<ServerSession>(poolOptions(database, route, limits), HOOKS, budgets, (message, fields) =>
        this.#log(message, { database: database.name, user, ...fields }),
      );
      const desk = new WelcomeDesk(pool, { timeoutMs: limits.rollbackTimeoutMs });
      const named = { database: database.name, user, pool, desk, mode: route.mode };
      if (this.#pausedDatabases.has(database.name) || this.#pausedDatabases.has(ALL)) pool.pause();
      this.#pools.set(key, named);
      return named;
    } finally {
      this.#making.delete(key);
    }
  }
}

function poolOptions(database: PoolerDatabase, route: PoolerRoute, limits: PoolerLimits): PoolOptions {
  return {
    login: {
      address: database.address,
      database: database.databaseName,
      user: route.serverUser,
      password: serverPassword(route.serverPassword),
      parameters: database.parameters,
      timeoutMs: limits.connectTimeoutMs,
    },
    resetAlways: database.resetAlways,
    loginKey: JSON.stringify([database.address, database.databaseName, database.parameters, route]),
    size: route.poolSize,
    minSize: route.minPoolSize,
    databaseSize: limits.maxDbConnections,
    pinnedSize: route.pinnedPoolSize,
    checkoutTimeoutMs: limits.checkoutTimeoutMs,
    idleTimeoutMs: limits.idleTimeoutMs,
    lifetimeMs: limits.serverLifetimeMs,
    healthcheckMs: limits.healthcheckMs,
  };
}
