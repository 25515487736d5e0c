import type { LoggedInServer, ServerLogin } from './connect-server.ts';
import type { PoolBudget } from './pool-budget.ts';
import type { ServerConnection } from './server-connection.ts';

/** The shares of all threads in what bounds a pool. */
export interface PoolBudgets {
  readonly pool: PoolBudget;
  readonly pinned: PoolBudget;
  readonly database: PoolBudget;
}

/** What a pool is made of; times in milliseconds. Replaced whole on reload. */
export interface PoolOptions {
  readonly login: ServerLogin;
  /** Differs where connections made with another login must not be used any more. */
  readonly loginKey: string;
  /** DISCARD ALL at every hand-back, whatever was seen to change. */
  readonly resetAlways: boolean;
  /** Server connections at most, those of other threads included. */
  readonly size: number;
  /** Connections that clients may keep outside a transaction, besides. */
  readonly pinnedSize: number;
  /** Connections kept open, in use or not. */
  readonly minSize: number;
  /** Connections of the same database at most, in all its pools; 0: no limit. */
  readonly databaseSize: number;
  readonly checkoutTimeoutMs: number;
  /** 0 is off, here and below. */
  readonly idleTimeoutMs: number;
  readonly lifetimeMs: number;
  /** A connection idle for longer is tried before it is used. */
  readonly healthcheckMs: number;
}

/** What the layer above keeps with each connection, and what it needs to know. */
export interface PoolHooks<State> {
  /** The state of a fresh connection. */
  open(server: LoggedInServer): State;
  /** An idle connection's server reported a changed parameter. */
  parameterChanged(state: State, name: string, value: string): void;
  /** The server's role as it reports it by now (`serverRole`); `undefined`: nothing new, or a client has set what tells it. */
  newRole(state: State): string | undefined;
  /** Whether a connection suits a client better than another that is as idle. */
  suits(state: State, wish: string): boolean;
  /** Tries whether a connection still answers. Where it does not, it has been closed when `done` is called. */
  check(server: ServerConnection<State>, done: () => void): void;
}
