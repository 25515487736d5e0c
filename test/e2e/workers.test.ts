import assert from 'node:assert/strict';
import { after, before, describe, it } from 'node:test';

import { freePort } from '../../src/cli/embedded/free-port.ts';
import { alice, aliceEntry } from '../support/alice.ts';
import { errorFields, query as queryMessage } from '../support/bytes.ts';
import { inReverse, type Cleanup } from '../support/cleanup.ts';
import { eventually, within } from '../support/eventually.ts';
import { Mirrored } from '../support/mirrored.ts';
import { databaseEntry, Pgmirror, type PgmirrorFiles } from '../support/pgmirror.ts';
import { createDatabase, query, type RunningPostgres } from '../support/postgres.ts';
import { startWatchedPostgres } from '../support/watched-postgres.ts';
import { WireClient } from '../support/wire-client.ts';
import { cancelAsTheyEnd } from './wire/late-cancels.ts';

const poolSize = 3;
const maxClients = 24;

describe('Two pooler threads', () => {
  const cleanup = inReverse({ after });
  let source: RunningPostgres;
  let database: string;
  let files: PgmirrorFiles;
  let pgmirror: Pgmirror;

  before(async () => {
    source = await startWatchedPostgres(cleanup);
    database = await createDatabase(source);
    files = {
      general: { workers: 2, max_client_connections: maxClients, checkout_timeout: 20_000, log_connections: false },
      databases: [{ ...databaseEntry('app', source, database), pool_size: poolSize }],
      users: [aliceEntry],
    };
    pgmirror = await Pgmirror.start(cleanup, files);
  });

  /** Logs clients in until there are so many and each thread has `each` of them: the kernel spreads them by chance. */
  async function connect(test: Cleanup, count: number, each: number): Promise<WireClient[]> {
    const clients: WireClient[] = [];
    test.after(async () => {
      await Promise.all(clients.map(async (client) => client.end()));
      await eventually(async () => (await pgmirror.admin('SHOW CLIENTS')).length <= 1);
    });
    const of = (thread: number): number => clients.filter((client) => client.thread === thread).length;
    while (clients.length < count || of(0) < each || of(1) < each) {
      assert.ok(clients.length < maxClients, `${of(0)} clients of one thread and ${of(1)} of the other`);
      clients.push(await WireClient.login(pgmirror, alice));
    }
    return clients;
  }

  it('have no more server connections than one would have, and all clients are served', async (t) => {
    const clients = await connect(inReverse(t), 12, 2);
    const answers = Promise.all(clients.map(async (client) => client.query('SELECT pg_sleep(0.1)')));
    let most = 0;
    const all = { answered: false };
    void answers.finally(() => (all.answered = true));
    while (!all.answered) {
      const sessions = `SELECT count(*)::int AS count FROM pg_stat_activity
        WHERE datname = '${database}' AND backend_type = 'client backend'`;
      const [row] = await query<{ count: number }>(source.url('postgres'), sessions);
      most = Math.max(most, row?.count ?? 0);
    }
    for (const answer of await answers) assert.equal(answer.at(-1)?.body.toString(), 'I');
    assert.ok(most >= 2 && most <= poolSize, `${most} server connections`);
  });

  it('let in no more clients than one would', async (t) => {
    const test = inReverse(t);
    const clients = await connect(test, maxClients, 1);
    await assert.rejects(WireClient.login(pgmirror, alice), /53300 .*too many clients/);
    await clients.pop()?.end();
    const next = await eventually(async () => WireClient.login(pgmirror, alice));
    test.after(async () => next.end());
    assert.equal((await next.query('SELECT 1')).at(-1)?.body.toString(), 'I');
  });

  it('count from nothing once RESET STATS has been answered', async (t) => {
    const test = inReverse(t);
    const mirrored = await Mirrored.start(test, { source }, { general: { workers: 2 } });
    const clients: WireClient[] = [];
    test.after(async () => Promise.all(clients.map(async (client) => client.end())).then(() => undefined));
    while (new Set(clients.map(({ thread }) => thread)).size < 2)
      clients.push(await WireClient.login(mirrored.pgmirror, alice));
    for (let round = 0; round < 20; round++) {
      await mirrored.pgmirror.admin('RESET STATS');
      for (const client of clients) await client.query('SELECT 1');
      assert.equal((await mirrored.drained()).total, clients.length);
    }
  });

  it('cancel what is meant, whichever of them the request reaches', async (t) => {
    const clients = await connect(inReverse(t), 6, 2);
    const [first, second, third] = [
      clients.find((client) => client.thread === 0),
      clients.find((client) => client.thread === 1),
      clients.findLast((client) => client.thread === 0),
    ];
    assert.ok(first !== undefined && second !== undefined && third !== undefined && third !== first);
    third.send(queryMessage('SELECT pg_sleep(60)'));
    for (let round = 0; round < 8; round += 1) {
      const client: WireClient = round % 2 === 0 ? first : second;
      client.send(queryMessage('SELECT pg_sleep(60)'));
      await eventually(async () => {
        const sleeping = `SELECT 1 FROM pg_stat_activity WHERE wait_event = 'PgSleep' AND datname = '${database}'`;
        return (await query(source.url('postgres'), sleeping)).length === 2;
      });
      await WireClient.cancel(pgmirror, client.processId, client.secretKey);
      const error = (await client.readUntil('Z')).find(({ type }) => type === 'E');
      assert.equal(error && errorFields(error).C, '57014', `round ${round}`);
      assert.equal(third.unread.length, 0, 'another client was cancelled');
    }
    await WireClient.cancel(pgmirror, third.processId, Buffer.from([1, 2, 3, 4])); // a wrong key: nothing happens
    assert.equal(third.unread.length, 0);
    await WireClient.cancel(pgmirror, third.processId, third.secretKey);
    const answer = await third.readUntil('Z');
    assert.ok(answer.some(({ type }) => type === 'E'));
  });

  it('have taken a CancelRequest when its connection ends: what its client asks then is not hit', async (t) => {
    const clients = await connect(inReverse(t), 2, 1);
    const threads = [0, 1].map((thread) => clients.find((client) => client.thread === thread));
    for (const client of threads) if (client !== undefined) await cancelAsTheyEnd(client, pgmirror, 60);
  });

  for (const workers of [1, 2]) {
    it(`keep a second instance with ${workers === 1 ? 'one thread' : 'two'} off their port`, async (t) => {
      const second = await Pgmirror.launch(inReverse(t), {
        ...files,
        general: { ...files.general, workers, port: pgmirror.port },
      });
      assert.equal(await within(second.exited, 15_000, 'the second instance to give up'), 1);
      const told = second.log.lines.map(({ msg, reason }) => ({ msg, reason }));
      const reason = `cannot listen on 127.0.0.1:${pgmirror.port}: the address is in use`;
      assert.deepEqual(told, [{ msg: 'cannot run', reason }]);
      assert.deepEqual(await query(pgmirror.url('app'), 'SELECT 1 AS one'), [{ one: 1 }]);
    });
  }

  it('are those of one instance, where two are started at the same moment', async (t) => {
    const test = inReverse(t);
    const general = { ...files.general, workers: 2, port: await freePort() };
    const both = await Promise.all([1, 2].map(async () => Pgmirror.launch(test, { ...files, general })));
    const outcomes = both.map(async (one) =>
      one.waitForLog(({ msg }) => msg === 'listening' || msg === 'cannot run', { timeoutMs: 20_000 }),
    );
    const told = (await Promise.all(outcomes)).map(({ msg, reason }) => ({ msg, reason }));
    const [loser, winner] = told.toSorted((one, other) => one.msg.localeCompare(other.msg));
    const reason = `cannot listen on 127.0.0.1:${general.port}: the address is in use`;
    assert.deepEqual([loser, winner?.msg], [{ msg: 'cannot run', reason }, 'listening']);
  });

  it('share it with another instance where both say reuse_port', async (t) => {
    const test = inReverse(t);
    const shared = { ...files, general: { ...files.general, workers: 1, reuse_port: true } };
    const one = await Pgmirror.start(test, shared);
    const other = await Pgmirror.start(test, { ...shared, general: { ...shared.general, port: one.port } });
    assert.equal(await one.stop(), 0);
    assert.deepEqual(await query(other.url('app'), 'SELECT 1 AS one'), [{ one: 1 }]);
  });
});
