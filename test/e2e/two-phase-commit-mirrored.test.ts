import assert from 'node:assert/strict';
import { after, before, describe, it } from 'node:test';

import { freePort } from '../../src/cli/embedded/free-port.ts';
import { alice } from '../support/alice.ts';
import { bind, execute, flush, parse, query as queryMessage, sync } from '../support/bytes.ts';
import { inReverse, type Cleanup } from '../support/cleanup.ts';
import { eventually } from '../support/eventually.ts';
import { askMetrics, askMirrors, sample } from '../support/http.ts';
import { Mirrored } from '../support/mirrored.ts';
import { query, withClient, type RunningPostgres } from '../support/postgres.ts';
import { childrenOf } from '../support/processes.ts';
import { startWatchedPair } from '../support/watched-postgres.ts';
import { WireClient } from '../support/wire-client.ts';

const schema = 'CREATE TABLE item (id integer)';
const prepared = 'SELECT gid FROM pg_prepared_xacts ORDER BY gid';

describe('A two-phase commit', () => {
  const cleanup = inReverse({ after });
  let source: RunningPostgres;
  let mirror: RunningPostgres;

  before(async () => {
    const settings = { max_prepared_transactions: '20' };
    [source, mirror] = await startWatchedPair(cleanup, { settings });
  });

  async function start(test: Cleanup, mirroring = {}, general = {}): Promise<Mirrored> {
    return Mirrored.start(test, { source, mirror }, { schema, mirroring, general });
  }

  async function prepare(mirrored: Mirrored, gid: string, id: number): Promise<void> {
    await withClient(mirrored.url, async (client) => {
      await client.query('BEGIN');
      await client.query(`INSERT INTO item VALUES (${id})`);
      await client.query(`PREPARE TRANSACTION '${gid}'`);
    });
  }

  async function ids(mirrored: Mirrored): Promise<number[]> {
    return (await mirrored.onMirror<{ id: number }>('SELECT id FROM item ORDER BY id')).map(({ id }) => id);
  }

  /** One client of each of two pooler threads: the kernel spreads them by chance. */
  async function ofTwoThreads(test: Cleanup, mirrored: Mirrored): Promise<WireClient[]> {
    const clients: (WireClient | undefined)[] = [];
    while (clients[0] === undefined || clients[1] === undefined) {
      const client = await WireClient.login(mirrored.pgmirror, alice);
      test.after(async () => client.destroy());
      clients[client.thread] = client;
    }
    return clients.filter((client) => client !== undefined);
  }

  it('has the fate of its first half, at any exposure, whichever client and thread ends it', async (t) => {
    const mirrored = await start(inReverse(t), { exposure: 0.5 }, { workers: 2 });
    const expected: number[] = [];
    let halves = 0;
    for (let id = 1; id <= 24; id++) {
      const earlier = (await mirrored.drained()).mirrored;
      await prepare(mirrored, `gid ${id}`, id);
      const arrived = (await mirrored.drained()).mirrored - earlier;
      await mirrored.query(id % 3 === 0 ? `ROLLBACK PREPARED 'gid ${id}'` : `/* end */ COMMIT PREPARED 'gid ${id}'`);
      const { mirrored: now } = await mirrored.drained();
      assert.equal(now - earlier, arrived * 2, 'the second half has the fate of the first');
      halves += arrived;
      if (arrived === 1 && id % 3 !== 0) expected.push(id);
    }
    const { errors, reasons } = await mirrored.drained();
    assert.ok(halves > 3 && halves < 21, `${halves} of 24`);
    assert.deepEqual({ errors, reasons }, { errors: 0, reasons: { exposure: 24 - halves, session_lost: 24 - halves } });
    assert.deepEqual(await ids(mirrored), expected);
    assert.deepEqual(await mirrored.onMirror(prepared), []);
  });

  it('has the fate of its first half although another thread is told to end it as soon as that is answered', async (t) => {
    const test = inReverse(t);
    const mirrored = await start(test, { exposure: 0.5 }, { workers: 2 });
    const clients = await ofTwoThreads(test, mirrored);
    const rounds = 60;
    for (let id = 1; id <= rounds; id++) {
      const [first, second] = id % 2 === 0 ? clients : clients.toReversed();
      const texts = ['BEGIN', `INSERT INTO item VALUES (${id})`, `PREPARE TRANSACTION '${id}'`];
      first?.send(...texts.map(queryMessage));
      for (let answers = 0; answers < texts.length; answers++) await first?.readUntil('Z');
      await second?.query(`COMMIT PREPARED '${id}'`);
    }
    const { mirrored: replayed, reasons, errors } = await mirrored.drained();
    const { exposure: halves = 0 } = reasons;
    assert.ok(halves > 10 && halves < 50, `${halves} of ${rounds}`);
    assert.deepEqual(
      { replayed, errors, reasons },
      { replayed: 2 * (rounds - halves), errors: 0, reasons: { exposure: halves, session_lost: halves } },
    );
    assert.equal((await ids(mirrored)).length, rounds - halves);
    assert.deepEqual(await mirrored.onMirror(prepared), []);
  });

  it('does not wait for the connections of those who wait for its locks', async (t) => {
    const sizes = { mirror: { pool_size: 2 }, mirroring: { timeout: 5_000 } };
    const mirrored = await Mirrored.start(inReverse(t), { source, mirror }, { schema, ...sizes });
    await mirrored.query('INSERT INTO item VALUES (0)');
    const change = 'UPDATE item SET id = id + 1';
    await withClient(mirrored.url, async (client) => {
      // The mirror is still at it when the rest has come there.
      for (const text of ['BEGIN', change, 'SELECT pg_sleep(0.5)', `PREPARE TRANSACTION 'held'`])
        await client.query(text);
      await client.query('SELECT 1');
      await client.query(`COMMIT PREPARED 'held'`);
      await Promise.all(Array.from({ length: 4 }, async () => mirrored.query(change)));
    });
    const { mirrored: replayed, errors } = await mirrored.drained();
    assert.deepEqual([replayed, errors, await ids(mirrored)], [8, 0, [5]]);
  });

  it('has the fate of its first half, sent together with it, too', async (t) => {
    const mirrored = await start(inReverse(t), { exposure: 0.5 });
    const { host, port } = mirrored.pgmirror;
    const client = await WireClient.login({ host, port }, alice);
    const rounds = 24;
    for (let id = 1; id <= rounds; id++) {
      const texts = [
        'BEGIN',
        `INSERT INTO item VALUES (${id})`,
        `PREPARE TRANSACTION '${id}'`,
        `COMMIT PREPARED '${id}'`,
      ];
      client.send(...texts.map(queryMessage));
      for (let answers = 0; answers < texts.length; answers++) await client.readUntil('Z');
    }
    await client.end();
    const { mirrored: replayed, reasons, errors } = await mirrored.drained();
    const { exposure: halves = 0 } = reasons;
    assert.ok(halves > 3 && halves < 21, `${halves} of ${rounds}`);
    assert.deepEqual(
      { replayed, errors, reasons },
      {
        replayed: 2 * (rounds - halves),
        errors: 0,
        reasons: { exposure: halves, session_lost: halves },
      },
    );
    assert.equal((await ids(mirrored)).length, rounds - halves);
    assert.deepEqual(await mirrored.onMirror(prepared), []);
  });

  it('is ended after its first half, however late that is', async (t) => {
    const mirrored = await start(inReverse(t), { queue_length: 10 });
    await withClient(mirrored.url, async (client) => {
      await client.query('BEGIN');
      await client.query('INSERT INTO item VALUES (1)');
      await client.query('SELECT pg_sleep(0.3)');
      await client.query(`PREPARE TRANSACTION 'slow'`);
    });
    await mirrored.query(`COMMIT PREPARED 'slow'`);
    const { mirrored: replayed, errors } = await mirrored.drained();
    assert.deepEqual({ replayed, errors }, { replayed: 2, errors: 0 });
    assert.deepEqual(await ids(mirrored), [1]);
  });

  it('without a second half that reaches the mirror is rolled back there', async (t) => {
    const httpPort = await freePort();
    const mirrored = await start(inReverse(t), {}, { http_port: httpPort });
    await prepare(mirrored, 'orphan', 1);
    await mirrored.drained();
    assert.deepEqual(await mirrored.onMirror(prepared), [{ gid: 'orphan' }]);
    await mirrored.onMirror(`CREATE TABLE held (id integer)`);
    await mirrored.onSource(`COMMIT PREPARED 'orphan'`); // pgmirror does not see it
    await eventually(async () => (await mirrored.onMirror(prepared)).length === 0, {
      timeoutMs: 30_000,
      intervalMs: 200,
    });
    assert.deepEqual(await ids(mirrored), []);
    await eventually(async () => (await askMirrors(httpPort))[0]?.orphans === 1);
    assert.equal(sample(await askMetrics(httpPort), 'pgmirror_mirror_orphans_total'), 1);
  });

  it('has the fate of its first half whatever the patterns say of its own text', async (t) => {
    const mirrored = await start(inReverse(t), { exclude_query: 'COMMIT PREPARED|secret' });
    await prepare(mirrored, 'a', 1);
    await mirrored.query(`COMMIT PREPARED 'a'`);
    await mirrored.query(`SELECT 'secret'`);
    const { mirrored: replayed, errors, reasons } = await mirrored.drained();
    assert.deepEqual({ replayed, errors, reasons }, { replayed: 2, errors: 0, reasons: { filtered: 1 } });
    assert.deepEqual(await ids(mirrored), [1]);
  });

  it('of which nothing was seen is session_lost, and what others prepared on the mirror stays', async (t) => {
    const mirrored = await start(inReverse(t));
    await mirrored.onSource(`BEGIN; INSERT INTO item VALUES (1); PREPARE TRANSACTION 'unseen'`);
    await mirrored.onMirror(`BEGIN; INSERT INTO item VALUES (7); PREPARE TRANSACTION 'its own'`);
    await mirrored.query(`COMMIT PREPARED 'unseen'`);
    assert.deepEqual((await mirrored.drained()).reasons, { session_lost: 1 });
    assert.deepEqual(await mirrored.onMirror(prepared), [{ gid: 'its own' }]);
    await mirrored.onMirror(`ROLLBACK PREPARED 'its own'`);
  });

  it('is ended on the mirror although the mirror process was killed in between', async (t) => {
    const mirrored = await start(inReverse(t));
    await prepare(mirrored, 'survivor', 5);
    await mirrored.drained();
    const [mirrorProcess = 0] = childrenOf(mirrored.pgmirror.processId);
    process.kill(mirrorProcess, 'SIGKILL');
    await mirrored.pgmirror.waitForLog(({ msg }) => msg === 'mirror process ended');
    await mirrored.whenMirroring();
    await mirrored.query(`COMMIT PREPARED 'survivor'`);
    const { mirrored: replayed, errors } = await mirrored.drained();
    assert.deepEqual({ replayed, errors }, { replayed: 1, errors: 0 });
    assert.deepEqual(await ids(mirrored), [5]);
  });

  it('that was prepared is prepared on the mirror, too, although something behind it failed', async (t) => {
    const test = inReverse(t);
    const mirrored = await start(test);
    const { host, port } = mirrored.pgmirror;
    const client = await WireClient.login({ host, port }, alice);
    test.after(async () => client.destroy());
    for (const [end, behind] of [
      ['a', [parse('', 'SELECT FROM nowhere'), sync]],
      ['b', [flush]],
    ] as const) {
      await client.query('BEGIN');
      await client.query('INSERT INTO item VALUES (1)');
      client.send(parse('', `PREPARE TRANSACTION '${end}'`), bind('', ''), execute(''), ...behind);
      await client.readUntil(end === 'a' ? 'Z' : 'C');
    }
    await client.reset();
    await eventually(async () => (await mirrored.counts()).total === 2);
    for (const gid of ['a', 'b']) await mirrored.query(`COMMIT PREPARED '${gid}'`);
    const { mirrored: replayed, errors, reasons } = await mirrored.drained();
    assert.deepEqual({ replayed, errors, reasons }, { replayed: 4, errors: 0, reasons: {} });
    assert.deepEqual(await ids(mirrored), [1, 1]);
  });

  it('that failed on the source leaves nothing', async (t) => {
    const mirrored = await start(inReverse(t));
    await withClient(mirrored.url, async (client) => {
      await client.query('BEGIN');
      await client.query('INSERT INTO item VALUES (1)');
      await assert.rejects(client.query('SELECT 1/0'));
      await client.query(`PREPARE TRANSACTION 'failed'`);
    });
    const { errors, reasons } = await mirrored.drained();
    assert.deepEqual({ errors, reasons }, { errors: 0, reasons: {} });
    assert.deepEqual(await query(mirror.url('postgres'), prepared), []);
    assert.deepEqual(await ids(mirrored), []);
  });
});
