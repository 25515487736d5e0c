import assert from 'node:assert/strict';

import type { Cleanup } from '../support/cleanup.ts';
import { eventually } from '../support/eventually.ts';
import { databaseEntry, Pgmirror } from '../support/pgmirror.ts';
import { query, type RunningPostgres } from '../support/postgres.ts';
import { startWatchedPostgres } from '../support/watched-postgres.ts';
import type { PostgresOptions } from '../../src/cli/embedded-postgres.ts';

/** Sessions of one client library at once, over so many server connections. */
export const SESSIONS = 8;
const POOL_SIZE = 2;

/** What a library did in one session, as plain data. */
export type Scenario = (url: string, session: number) => Promise<unknown>;

/**
 * A PostgreSQL with two equal databases: one for clients that connect to it, one for clients that come through pgmirror in
 * transaction mode. A library has to see the same both ways.
 */
export class BothWays {
  readonly postgres: RunningPostgres;
  readonly pgmirror: Pgmirror;

  private constructor(postgres: RunningPostgres, pgmirror: Pgmirror) {
    this.postgres = postgres;
    this.pgmirror = pgmirror;
  }

  static async start(cleanup: Cleanup, options: PostgresOptions = {}): Promise<BothWays> {
    const postgres = await startWatchedPostgres(cleanup, options);
    const direct = postgres.url('postgres');
    await query(direct, 'CREATE DATABASE direct');
    await query(direct, 'CREATE DATABASE pooled');
    const { user, password } = postgres;
    const pgmirror = await Pgmirror.start(cleanup, {
      general: { default_pool_size: POOL_SIZE, pinned_pool_size: 2 * SESSIONS },
      databases: [databaseEntry('pooled', postgres)],
      users: [{ name: user, password, database: 'pooled' }],
    });
    return new BothWays(postgres, pgmirror);
  }

  /** Where a client connects: PostgreSQL itself, and pgmirror. */
  get urls(): readonly [direct: string, pooled: string] {
    return [this.postgres.url('direct'), this.pgmirror.url('pooled', this.postgres.user)];
  }

  /** Runs statements in both databases. */
  async prepare(sql: string): Promise<void> {
    await query(this.postgres.url('direct'), sql);
    await query(this.postgres.url('pooled'), sql);
  }

  /** Runs sessions at once, on PostgreSQL and then through pgmirror, and asserts that each saw the same. */
  async same(scenario: Scenario): Promise<void> {
    const [direct, pooled] = this.urls;
    const expected = await allSessions(direct, scenario);
    const actual = await allSessions(pooled, scenario);
    assert.deepEqual(actual, expected);
    await this.assertAtRest();
  }

  /** Everybody has gone, nobody is pinned, and what is left of the server connections is the pool. */
  async assertAtRest(): Promise<void> {
    await eventually(
      async () => {
        const clients = await this.pgmirror.admin<{ database: string }>('SHOW CLIENTS');
        assert.deepEqual(
          clients.filter(({ database }) => database === 'pooled'),
          [],
        );
        const [pool] = await this.pgmirror.admin<Record<string, string>>('SHOW POOLS');
        assert.ok(pool !== undefined, 'nobody came through pgmirror');
        assert.equal(Number(pool.sv_active), 0, 'server connections are out');
        assert.ok(Number(pool.sv_idle) <= POOL_SIZE, 'more server connections than the pool may have');
        return true;
      },
      { what: 'pgmirror at rest' },
    );
  }
}

async function allSessions(url: string, scenario: Scenario): Promise<unknown[]> {
  const running = Array.from({ length: SESSIONS }, async (_, session) => scenario(url, session));
  const settled = await Promise.allSettled(running);
  const failed = settled.find((outcome) => outcome.status === 'rejected');
  if (failed !== undefined) throw new Error(`a session failed: ${String(failed.reason)}`, { cause: failed.reason });
  return settled.map((outcome) => (outcome.status === 'fulfilled' ? outcome.value : undefined));
}

/** The SQLSTATE with which a promise rejects; fails where it does not. */
export async function sqlstateOf(promise: PromiseLike<unknown>): Promise<string> {
  let error: unknown;
  try {
    await promise;
  } catch (caught) {
    error = caught;
  }
  for (let cause = error; cause instanceof Error; cause = cause.cause) {
    const { code } = cause as { code?: unknown };
    if (typeof code === 'string') return code;
  }
  throw new Error('no error of PostgreSQL', { cause: error });
}
