import assert from 'node:assert/strict';
import { after, before, describe, it } from 'node:test';

import { inReverse } from '../support/cleanup.ts';
import { eventually } from '../support/eventually.ts';
import { inspectable, Inspector } from '../support/inspector.ts';
import { LeakWatch } from '../support/leaks.ts';
import { Mirrored } from '../support/mirrored.ts';
import { query, startTestPostgres } from '../support/postgres.ts';
import { WireClient } from '../support/wire-client.ts';

/** The clients of a thread: the upper bits of a client's process id are its thread's. */
const threadOf = (client: WireClient): number => client.processId >>> 22;

describe('A pooler thread that fails', () => {
  const cleanup = inReverse({ after });
  let mirrored: Mirrored;

  before(async () => {
    const leaks = new LeakWatch();
    cleanup.after(async () => leaks.assertNone());
    const source = await startTestPostgres(cleanup);
    mirrored = await Mirrored.start(
      cleanup,
      { source },
      {
        schema: 'CREATE TABLE kept (id integer PRIMARY KEY)',
        general: { workers: 2, max_client_connections: 40, default_pool_size: 2 },
        process: { env: inspectable },
      },
    );
  });

  it('takes down its own clients and nobody else’s, and is started again', async (t) => {
    const test = inReverse(t);
    const { pgmirror } = mirrored;
    const login = { user: 'alice', database: 'app', password: 'alice-password' };
    const clients: WireClient[] = [];
    test.after(async () => void (await Promise.all(clients.map(async (client) => client.destroy()))));
    const connect = async (): Promise<void> => void clients.push(await WireClient.login(pgmirror, login));
    // The kernel spreads them by chance.
    await eventually(
      async () => {
        await connect();
        return new Set(clients.map(threadOf)).size === 2 && clients.length >= 4;
      },
      { intervalMs: 0, what: 'clients of both threads' },
    );
    for (const client of clients) await client.query('SELECT 1');
    const [mine, others] = [clients.filter((one) => threadOf(one) === 0), clients.filter((one) => threadOf(one) === 1)];
    const from = pgmirror.log.lines.length;

    const inspector = await Inspector.open(test, pgmirror, pgmirror.processId);
    await inspector.runInThread('pooler 0', `throw new Error('provoked')`);

    await Promise.all(mine.map(async (client) => client.waitForClose()));
    const failed = await pgmirror.waitForLog((line) => line.msg === 'pooler thread failed', { from });
    assert.equal(failed.thread, 0);
    for (const client of others) assert.equal((await client.query('SELECT 1')).at(-1)?.body.toString(), 'I');

    // Its share of the limits is free again: as many clients as before find a thread, and the pool its connections.
    clients.splice(0, clients.length, ...others);
    await eventually(
      async () => {
        await connect();
        return clients.some((client) => threadOf(client) === 0) && clients.length > others.length;
      },
      { intervalMs: 50, what: 'a client of the new thread' },
    );
    for (const client of clients) assert.equal((await client.query('SELECT 1')).at(-1)?.body.toString(), 'I');
    await mirrored.whenMirroring();
    assert.deepEqual(await query(mirrored.url, 'INSERT INTO kept VALUES (1) RETURNING id'), [{ id: 1 }]);
  });
});
