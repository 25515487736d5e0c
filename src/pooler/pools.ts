import { Pool } from '../pool/pool.ts';
import type { PoolBudgets, PoolHooks, PoolOptions } from '../pool/pool-options.ts';
import type { PoolBudget } from '../pool/pool-budget.ts';
import type { PoolStatistics } from '../pool/pool-statistics.ts';
import { READ_ONLY, serverRole } from '../pool/server-role.ts';
import type { LoggedInServer } from '../pool/connect-server.ts';
import { ServerSession } from '../session/server-session.ts';
import type { ServerPassword } from '../auth/server-password.ts';
import { DatabaseStatistics } from './database-statistics.ts';
import { serverPassword } from './directory.ts';
import { PausedDatabases, isPaused } from './paused-databases.ts';
import type { PausedChoice } from './paused-databases.ts';
import type { PoolerDatabase, PoolerLimits, PoolerMode, PoolerRoute } from './pooler-options.ts';
import { runTask } from './server-task.ts';
import { ParameterSet } from '../session/parameter-set.ts';
import { WelcomeDesk } from './welcome.ts';
import type { Welcome } from './welcome.ts';

/** A pool with what it welcomes clients with. */
export interface NamedPool {
  readonly database: string;
  readonly user: string;
  readonly pool: Pool<ServerSession>;
  readonly desk: WelcomeDesk;
  /** Of clients that log in now. */
  mode: PoolerMode;
  /** It was given up: the configuration has no such user or database any more. */
  removed: boolean;
  /** What its connections count against. */
  readonly budgets: PoolBudgets;
}

/** Where the connections of a pool lead, and within which limits. */
export interface PoolWay {
  readonly database: PoolerDatabase;
  readonly route: PoolerRoute;
  readonly limits: PoolerLimits;
}

/** What one thread found out that clients of a pool are told, as plain data for the others. */
export interface WelcomeNews {
  /** Names the pool. */
  readonly pool: string;
  /** The key of the settings that they ask for. */
  readonly asked: string;
  readonly settings: ReadonlyMap<string, string>;
  readonly restated: ReadonlyMap<string, string>;
  readonly reported: ReadonlyMap<string, string>;
  readonly notices: Uint8Array;
}

/** So much news is kept of pools that this thread has not made yet. */
const NEWS_KEPT = 1_000;

/** What names the budget that all pools of a database share. */
function databaseKey(database: string): string {
  return JSON.stringify([database]);
}

/** What names the shared budget of a pool. */
function poolKey(database: string, user: string): string {
  return JSON.stringify([database, user]);
}

/** What names the server that a pool leads to. */
function serverKey({ options: { login } }: Pool<ServerSession>): string {
  return JSON.stringify([login.address.host, login.address.port]);
}

/** How long a server may take to answer an empty query. */
const CHECK_MS = 5_000;

const HOOKS: PoolHooks<ServerSession> = {
  open: (server: LoggedInServer) => new ServerSession(server.parameters),
  parameterChanged: (state, name, value) => (state.reported = state.reported.with(name, value)),
  newRole: (state) => newRole(state),
  suits: (state, wish) => state.applied.key === wish,
  check: (server, done) => runTask(server, '', CHECK_MS, done),
};

function newRole(state: ServerSession): string | undefined {
  if (state.reported === state.roleSeenIn) return undefined;
  state.roleSeenIn = state.reported;
  return state.applied.entries.has(READ_ONLY) ? undefined : serverRole(state.reported.entries);
}

/** The pools of a thread, one for each database and user, made when the first client needs one. */
export class Pools {
  readonly #pools = new Map<string, NamedPool>();
  readonly #budget: (key: string, shared: boolean) => Promise<PoolBudget>;
  readonly #log: (message: string, fields: object) => void;
  readonly #paused: PausedDatabases;
  readonly #statistics = new DatabaseStatistics();
  readonly #making = new Map<string, Promise<NamedPool | undefined>>();
  readonly #tellWelcome: (news: WelcomeNews) => void;
  /** Of pools that there are not yet. */
  #news: WelcomeNews[] = [];
  /** What clients showed at their logins, for users whose password is not configured. */
  readonly #learnt = new Map<string, ServerPassword>();

  /** `budget` gives the share of all threads in a pool. */
  constructor(options: {
    readonly budget: (key: string, shared: boolean) => Promise<PoolBudget>;
    readonly log: (message: string, fields: object) => void;
    readonly paused: PausedChoice;
    readonly tellWelcome: (news: WelcomeNews) => void;
  }) {
    this.#budget = options.budget;
    this.#log = options.log;
    this.#paused = new PausedDatabases(options.paused);
    this.#tellWelcome = options.tellWelcome;
  }

  all(): Iterable<NamedPool> {
    return this.#pools.values();
  }

  /** What was counted for each database since the thread began. */
  get statistics(): ReadonlyMap<string, PoolStatistics> {
    return this.#statistics.with(this.all());
  }

  /** Somebody wants a connection within a budget, or there is room in it again; or idle ones are to leave a server. */
  announced(what: 'wanted' | 'room' | 'leave', key: string): void {
    if (what === 'leave') return this.#leave(key);
    const one = this.#pools.get(key);
    const pools = one === undefined ? [...this.all()].filter(({ database }) => databaseKey(database) === key) : [one];
    if (what === 'room') {
      for (const { pool } of pools) pool.roomMayBe();
      return;
    }
    // A connection is made room for by the pool that has most idle.
    pools.sort((a, b) => b.pool.idleCount - a.pool.idleCount)[0]?.pool.makeRoom();
  }

  /** Another thread has found out what clients of a pool are told. */
  welcomeHeard(news: WelcomeNews): void {
    const named = this.#pools.get(news.pool);
    if (named !== undefined) return named.desk.heard(news.asked, welcomeOf(news));
    if (this.#news.length >= NEWS_KEPT) this.#news.shift();
    this.#news.push(news);
  }

  /** Closes idle connections to the server that this pool leads to; its name. */
  leave({ pool }: NamedPool): string {
    const server = serverKey(pool);
    this.#leave(server);
    return server;
  }

  #leave(server: string): void {
    for (const { pool } of this.all()) {
      if (serverKey(pool) !== server) continue;
      for (const connection of [...pool.connections]) if (connection.user === undefined) connection.close('made_way');
    }
  }

  /**
   * The pool of a user and a database. `way` is asked where it leads when there is none and it can be made; where nothing
   * leads there any more, there is no pool.
   */
  async get(user: string, database: string, way: () => PoolWay | undefined): Promise<NamedPool | undefined> {
    const key = poolKey(database, user);
    const known = this.#pools.get(key);
    if (known !== undefined) return known;
    let making = this.#making.get(key);
    if (making === undefined) {
      making = this.#make(key, user, database, way);
      this.#making.set(key, making);
    }
    return making;
  }

  /** Makes a pool that is to have connections before its first client comes. Where it cannot be made, that is logged. */
  async keep(user: string, database: string, way: () => PoolWay | undefined): Promise<void> {
    await this.get(user, database, way).catch((error: unknown) =>
      this.#log('no connections can be kept', { database, user, reason: String(error) }),
    );
  }

  /** Applies changed options to a pool that exists. */
  reconfigure(user: string, database: PoolerDatabase, route: PoolerRoute, limits: PoolerLimits): void {
    const key = poolKey(database.name, user);
    const named = this.#pools.get(key);
    if (named === undefined) return;
    named.mode = route.mode;
    named.pool.reconfigure(poolOptions(database, route, limits, this.#learntFor(key, user, route)));
  }

  /** Takes note of what a client showed at its login: connections are opened with it from now on. */
  learn(
    user: string,
    database: PoolerDatabase,
    route: PoolerRoute,
    { limits, learnt }: { readonly limits: PoolerLimits; readonly learnt: ServerPassword | undefined },
  ): void {
    if (learnt === undefined || !learns(user, route)) return;
    const key = poolKey(database.name, user);
    if (this.#learnt.get(key)?.isSameAs(learnt) === true) return;
    this.#learnt.set(key, learnt);
    this.reconfigure(user, database, route, limits);
  }

  #learntFor(key: string, user: string, route: PoolerRoute): ServerPassword | undefined {
    return learns(user, route) ? this.#learnt.get(key) : undefined;
  }

  /** Gives a pool up: nobody is let in, and connections go as they are handed back. */
  remove(named: NamedPool): void {
    named.pool.close();
    named.removed = true;
    this.#statistics.gaveUp(named);
    this.#pools.delete(poolKey(named.database, named.user));
    this.#learnt.delete(poolKey(named.database, named.user));
  }

  get paused(): PausedChoice {
    return this.#paused.choice;
  }

  /** PAUSE: nobody gets a connection; settles when nobody has one. `database` undefined: all. */
  async pause(database: string | undefined): Promise<void> {
    this.#paused.set(database, true);
    await Promise.all(this.#of(database).map(({ pool }) => pool.pause()));
  }

  resume(database: string | undefined): void {
    this.#paused.set(database, false);
    for (const { pool } of this.#of(database)) pool.resume();
  }

  /** Clients are to end: those that PAUSE holds, too, which nobody will let go any more. */
  drain(): void {
    for (const { pool } of this.all()) if (pool.paused) pool.endPatience();
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
    name: string,
    wayOf: () => PoolWay | undefined,
  ): Promise<NamedPool | undefined> {
    try {
      const budgets = {
        pool: await this.#budget(key, false),
        pinned: await this.#budget(`${key} pinned`, false),
        database: await this.#budget(databaseKey(name), true),
      };
      const way = wayOf();
      if (way === undefined) return undefined;
      const { database, route, limits } = way;
      const options = poolOptions(database, route, limits, this.#learntFor(key, user, route));
      const pool = new Pool<ServerSession>(options, HOOKS, budgets, (message, fields) =>
        this.#log(message, { database: database.name, user, ...fields }),
      );
      const desk = new WelcomeDesk(pool, {
        timeoutMs: limits.rollbackTimeoutMs,
        tell: (asked, welcome) => this.#tellWelcome(newsOf(key, asked, welcome)),
      });
      for (const news of this.#news) if (news.pool === key) desk.heard(news.asked, welcomeOf(news));
      this.#news = this.#news.filter((news) => news.pool !== key);
      const named = { database: database.name, user, pool, desk, mode: route.mode, removed: false, budgets };
      if (isPaused(this.paused, database.name)) void pool.pause();
      this.#pools.set(key, named);
      return named;
    } finally {
      this.#making.delete(key);
    }
  }
}

function newsOf(pool: string, asked: string, { settings, restated, reported, notices }: Welcome): WelcomeNews {
  const entries = { settings: settings.entries, restated: restated.entries, reported: reported.entries };
  return { pool, asked, ...entries, notices };
}

function welcomeOf({ settings, restated, reported, notices }: WelcomeNews): Welcome {
  return {
    settings: new ParameterSet(settings),
    restated: new ParameterSet(restated),
    reported: new ParameterSet(reported),
    notices: Buffer.from(notices),
  };
}

/** Whether a server knows what the client logs in with: it is the same user there, and no other login is configured. */
function learns(user: string, route: PoolerRoute): boolean {
  return route.serverPassword === undefined && route.serverUser === user;
}

function poolOptions(
  database: PoolerDatabase,
  route: PoolerRoute,
  limits: PoolerLimits,
  learnt: ServerPassword | undefined,
): PoolOptions {
  return {
    login: {
      address: database.address,
      tls: database.tls,
      database: database.databaseName,
      user: route.serverUser,
      password: serverPassword(route.serverPassword) ?? learnt,
      parameters: database.parameters,
      timeoutMs: limits.connectTimeoutMs,
    },
    resetAlways: database.resetAlways,
    loginKey: loginKey(database, route),
    size: route.poolSize,
    // Nobody has logged in yet who could show a password.
    minSize: route.passwordHash !== undefined && learnt === undefined ? 0 : route.minPoolSize,
    databaseSize: limits.maxDbConnections,
    pinnedSize: route.pinnedPoolSize,
    checkoutTimeoutMs: limits.checkoutTimeoutMs,
    idleTimeoutMs: limits.idleTimeoutMs,
    lifetimeMs: limits.serverLifetimeMs,
    healthcheckMs: limits.healthcheckMs,
  };
}

function loginKey(database: PoolerDatabase, route: PoolerRoute): string {
  const { address, tls, databaseName, parameters } = database;
  const { serverUser, serverPassword: password, passwordHash } = route;
  return JSON.stringify([address, tls, databaseName, parameters, serverUser, password, passwordHash]);
}
