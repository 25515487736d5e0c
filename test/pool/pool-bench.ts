import assert from 'node:assert/strict';
import { Pool } from '../../src/pool/pool.ts';
import type { PoolBudgets, PoolOptions } from '../../src/pool/pool-options.ts';
import type { CheckoutError, Waiter } from '../../src/pool/waiting-line.ts';
import { PoolBudget } from '../../src/pool/pool-budget.ts';
import { serverRole } from '../../src/pool/server-role.ts';
import type { ServerConnection } from '../../src/pool/server-connection.ts';
import type { Cleanup } from '../support/cleanup.ts';
import { eventually } from '../support/eventually.ts';

/** What the pool keeps with a connection here: what its server reported. */
export interface State {
  readonly parameters: Map<string, string>;
  wish: string;
}

export type Connection = ServerConnection<State>;

/** One who asks for a connection, and what it got. */
export class Asker implements Waiter<State> {
  server: Connection | undefined;
  error: CheckoutError | undefined;
  readonly lost: string[] = [];
  readonly name: string;
  readonly #order: string[];

  constructor(name: string, order: string[]) {
    this.name = name;
    this.#order = order;
  }

  granted(server: Connection): void {
    assert.equal(this.server ?? this.error, undefined, `${this.name} was answered twice`);
    this.server = server;
    server.setUser({ bytes: () => undefined, lost: (reason) => this.lost.push(reason) });
    this.#order.push(this.name);
  }

  refused(error: CheckoutError): void {
    assert.equal(this.server ?? this.error, undefined, `${this.name} was answered twice`);
    this.error = error;
    this.#order.push(`${this.name} refused`);
  }
}

/** A pool towards a server on loopback, and those who want connections of it. */
export class PoolBench {
  readonly pool: Pool<State>;
  readonly options: PoolOptions;
  /** Who was answered, in which order. */
  readonly order: string[] = [];
  /** Connections that the pool had tried, and what ends the last trial. */
  readonly checked: Connection[] = [];
  finishCheck = (): void => undefined;
  readonly log: { readonly message: string; readonly fields: object }[] = [];

  constructor(
    cleanup: Cleanup,
    port: number,
    { budgets, ...options }: Partial<PoolOptions> & { budgets?: Partial<PoolBudgets> } = {},
  ) {
    this.options = {
      login: {
        address: { host: '127.0.0.1', port },
        database: 'shop',
        user: 'anna',
        password: undefined,
        parameters: {},
        timeoutMs: 10_000,
      },
      loginKey: 'one',
      resetAlways: false,
      size: 1,
      pinnedSize: 1,
      minSize: 0,
      databaseSize: 0,
      checkoutTimeoutMs: 10_000,
      idleTimeoutMs: 60_000,
      lifetimeMs: 0,
      healthcheckMs: 0,
      ...options,
    };
    this.pool = new Pool<State>(
      this.options,
      {
        open: ({ parameters }) => ({ parameters, wish: '' }),
        parameterChanged: (state, name, value) => void state.parameters.set(name, value),
        newRole: ({ parameters }) => serverRole(parameters),
        suits: (state, wish) => state.wish === wish,
        check: (server, done) => {
          this.checked.push(server);
          this.finishCheck = done;
        },
      },
      { pool: PoolBudget.alone(), pinned: PoolBudget.alone(), database: PoolBudget.alone(), ...budgets },
      (message, fields) => void this.log.push({ message, fields }),
    );
    cleanup.after(() => this.pool.destroy());
  }

  /** Asks for a connection. */
  ask(name = 'client', wish = ''): Asker {
    const asker = new Asker(name, this.order);
    const server = this.pool.checkout(asker, wish);
    if (server !== undefined) asker.granted(server);
    return asker;
  }

  /** Asks, and waits until there is one. */
  async get(name = 'client', wish = ''): Promise<Connection> {
    const asker = this.ask(name, wish);
    return eventually(() => {
      if (asker.error !== undefined) throw asker.error;
      return asker.server;
    });
  }

  /** Opens so many connections and lets them all go again, the first one first. */
  async warm(count: number): Promise<Connection[]> {
    const servers: Connection[] = [];
    for (let opened = 0; opened < count; opened++) servers.push(await this.get());
    for (const server of servers) this.pool.release(server);
    this.order.length = 0;
    return servers;
  }

  /** Why connections were closed, in order. */
  get closings(): unknown[] {
    return this.log
      .filter(({ message }) => message === 'server connection closed')
      .map(({ fields }) => (fields as { reason: string }).reason);
  }
}
