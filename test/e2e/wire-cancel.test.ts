import assert from 'node:assert/strict';
import { after, before, describe, it } from 'node:test';

import { bind, errorFields, execute, flush, parse, query, sync } from '../support/bytes.ts';
import { inReverse } from '../support/cleanup.ts';
import { eventually } from '../support/eventually.ts';
import type { RunningPostgres } from '../support/postgres.ts';
import { WireClient } from '../support/wire-client.ts';
import { startWatchedPostgres } from '../support/watched-postgres.ts';
import { Comparison } from './wire/comparison.ts';
import { describeMessage } from './wire/dialogue.ts';
import { cancelAsTheyEnd } from './wire/late-cancels.ts';

describe('A CancelRequest', () => {
  const cleanup = inReverse({ after });
  let server: RunningPostgres;
  let comparison: Comparison;

  before(async () => {
    server = await startWatchedPostgres(cleanup);
    comparison = await Comparison.start(cleanup, server, { default_pool_size: 1, checkout_timeout: 20_000 });
  });

  async function cancel(client: WireClient, secret = client.secretKey): Promise<void> {
    const address = client.socket.remotePort === server.port ? server : comparison.pgmirror;
    await WireClient.cancel({ host: '127.0.0.1', port: address.port }, client.processId, secret);
  }

  const texts = [
    { name: 'a query', bytes: query('SELECT pg_sleep(60)') },
    {
      name: 'an extended segment',
      bytes: Buffer.concat([parse('', 'SELECT pg_sleep(60)'), bind('', ''), execute(''), sync]),
    },
    { name: 'a query in a block', bytes: query('BEGIN; SELECT pg_sleep(60)') },
    {
      name: 'a segment that has no Sync yet',
      bytes: Buffer.concat([parse('', 'SELECT pg_sleep(60)'), bind('', ''), execute(''), flush]),
      more: sync,
    },
  ];
  for (const { name, bytes, more = Buffer.alloc(0) } of texts) {
    it(`ends ${name} as it does on PostgreSQL`, async () => {
      const transcripts: string[][] = [];
      for (const client of [await comparison.direct(), await comparison.pooled()]) {
        client.send(bytes);
        const pid =
          client.socket.remotePort === server.port ? `pid = ${client.processId}` : 'datname = current_database()';
        const asleep = `SELECT 1 FROM pg_stat_activity WHERE ${pid} AND wait_event = 'PgSleep'`;
        await eventually(async () => (await comparison.ask(asleep)).length === 1);
        await cancel(client);
        client.send(more);
        transcripts.push((await client.readUntil('Z')).map(describeMessage));
        await client.end();
      }
      const [direct, pooled] = transcripts;
      assert.deepEqual(pooled, direct);
    });
  }

  it('of a client that does nothing hits nobody, whoever has its last connection', async () => {
    const idle = await comparison.pooled();
    await idle.query('SELECT 1');
    const neighbour = await comparison.pooled();
    neighbour.send(query('SELECT pg_sleep(0.3)'));
    for (let round = 0; round < 20; round += 1) await cancel(idle);
    await neighbour.expect('T', 'D', 'C', 'Z');
    await Promise.all([idle.end(), neighbour.end()]);
  });

  it('with a wrong secret is ignored, and answered with nothing', async () => {
    const client = await comparison.pooled();
    client.send(query('SELECT pg_sleep(0.3)'));
    await cancel(client, Buffer.alloc(client.secretKey.length));
    await cancel(client, Buffer.alloc(0));
    await cancel(client, Buffer.concat([client.secretKey, Buffer.from([0])]));
    await client.expect('T', 'D', 'C', 'Z');
    await client.end();
  });

  it('reaches a client that waits for a connection, and only that one', async () => {
    const holder = await comparison.pooled();
    await holder.query('BEGIN');
    const waiting = await comparison.pooled();
    const behind = await comparison.pooled();
    waiting.send(query('SELECT 1'));
    behind.send(query('SELECT 2'));
    await comparison.pgmirror.admin('SHOW POOLS');
    await cancel(waiting);
    const [error] = await waiting.expect('E', 'Z');
    assert.equal(error && errorFields(error).C, '57014');
    await holder.query('COMMIT');
    await behind.expect('T', 'D', 'C', 'Z');
    waiting.send(query('SELECT 3'));
    await waiting.expect('T', 'D', 'C', 'Z');
    await Promise.all([holder.end(), waiting.end(), behind.end()]);
  });

  it('that comes as its query ends never hits the next client, a hundred times', async () => {
    const [a, b] = [await comparison.pooled(), await comparison.pooled()];
    for (let round = 0; round < 100; round += 1) {
      a.send(query('SELECT pg_sleep(0.002)'));
      b.send(query("SELECT pg_sleep(0.004), 'b'"));
      const cancelling = Array.from({ length: 1 + (round % 4) }, async () => cancel(a));
      const answered = await a.readUntil('Z');
      const ended = answered.map(({ type }) => type).join('');
      assert.ok(ended === 'TDCZ' || ended.endsWith('EZ'), ended);
      await b.expect('T', 'D', 'C', 'Z');
      await Promise.all(cancelling);
    }
    await Promise.all([a.end(), b.end()]);
  });

  it('that comes as its query ends never hits the next one of its own block, a hundred times', async () => {
    const client = await comparison.pooled();
    await cancelAsTheyEnd(client, comparison.pgmirror, 100);
    await client.end();
  });

  it('a hundred at once, of clients that share a connection, hit only those that asked', async () => {
    const victims = await Promise.all(Array.from({ length: 25 }, async () => comparison.pooled()));
    const others = await Promise.all(Array.from({ length: 5 }, async () => comparison.pooled()));
    const running = others.map(async (client) => {
      for (let round = 0; round < 20; round += 1) {
        client.send(query('SELECT pg_sleep(0.002)'));
        await client.expect('T', 'D', 'C', 'Z');
      }
    });
    for (const victim of victims) victim.send(query('SELECT pg_sleep(0.01)'));
    await Promise.all([...victims, ...victims, ...victims, ...victims].map(async (victim) => cancel(victim)));
    for (const victim of victims) await victim.readUntil('Z', 20_000);
    await Promise.all(running);
    await Promise.all([...victims, ...others].map(async (client) => client.end()));
  });

  it('that comes as its query ends is not taken for what the session would say of itself', async () => {
    const [client, other] = [await comparison.pooled(), await comparison.pooled()];
    for (let round = 0; round < 50; round += 1) {
      client.send(query("SELECT set_config('work_mem', '1MB', false), pg_sleep(0.002)"));
      const cancelling = Array.from({ length: 8 }, async () => cancel(client));
      await client.readUntil('Z');
      await Promise.all(cancelling);
      other.send(query('SELECT 1'));
      await other.expect('T', 'D', 'C', 'Z');
    }
    assert.equal((await comparison.connections()).length, 1, 'nobody keeps a connection');
    await Promise.all([client.end(), other.end()]);
  });

  it('during what pgmirror does for itself (settings, cleaning up) harms nobody', async () => {
    const client = await comparison.pooled();
    const other = await comparison.pooled();
    await client.query("SET search_path = pg_catalog; SET statement_timeout = '10s'");
    for (let round = 0; round < 50; round += 1) {
      client.send(query('SHOW search_path'));
      const cancelling = Promise.all([cancel(client), cancel(client)]);
      const answered = await client.readUntil('Z');
      const error = answered.find(({ type }) => type === 'E');
      if (error !== undefined) assert.equal(errorFields(error).C, '57014');
      await other.query('BEGIN');
      other.send(query('SELECT 1'), query('COMMIT'));
      await other.expect('T', 'D', 'C', 'Z', 'C', 'Z');
      await cancelling;
    }
    client.send(query('SHOW search_path'));
    await client.expect('T', 'D', 'C', 'Z');
    await Promise.all([client.end(), other.end()]);
  });
});
