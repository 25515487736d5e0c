import assert from 'node:assert/strict';
import { after, before, describe, it } from 'node:test';

import { Client } from 'pg';

import { alice } from '../support/alice.ts';
import { inReverse, type Cleanup } from '../support/cleanup.ts';
import { Mirrored } from '../support/mirrored.ts';
import { query } from '../support/bytes.ts';
import { startWatchedPostgres } from '../support/watched-postgres.ts';
import { WireClient } from '../support/wire-client.ts';

/** A row tells under which settings it was inserted. */
const schema = `
  CREATE SCHEMA other;
  CREATE TABLE seen (
    label text PRIMARY KEY,
    zone text DEFAULT current_setting('TimeZone'),
    application text DEFAULT current_setting('application_name'),
    path text DEFAULT current_setting('search_path'),
    timeout text DEFAULT current_setting('statement_timeout'),
    style text DEFAULT current_setting('DateStyle'),
    role text DEFAULT current_user);
  CREATE TABLE other.seen (LIKE public.seen INCLUDING ALL);`;

const all = `SELECT 'public' AS place, * FROM public.seen UNION ALL SELECT 'other', * FROM other.seen ORDER BY label`;

describe('A client’s settings', () => {
  const cleanup = inReverse({ after });
  let mirrored: Mirrored;

  before(async () => {
    const source = await startWatchedPostgres(cleanup);
    // One connection on each side: what a client leaves behind would be seen by the next.
    const one = { pool_size: 1 };
    mirrored = await Mirrored.start(cleanup, { source }, { schema, source: one, mirror: one });
    await mirrored.onSource('CREATE ROLE teller; GRANT ALL ON SCHEMA public, other TO teller');
    for (const on of [mirrored.onSource.bind(mirrored), mirrored.onMirror.bind(mirrored)]) {
      await on('GRANT USAGE ON SCHEMA public, other TO teller; GRANT ALL ON public.seen, other.seen TO teller');
    }
  });

  async function connect(test: Cleanup, parameters: Record<string, string> = {}): Promise<Client> {
    const client = new Client({ connectionString: mirrored.url, ...parameters });
    client.on('error', () => {});
    test.after(async () => client.end());
    await client.connect();
    return client;
  }

  async function see(client: Client, label: string): Promise<void> {
    await client.query('INSERT INTO seen (label) VALUES ($1)', [label]);
  }

  /** What a row on the mirror says. */
  async function seen(label: string): Promise<Record<string, unknown>> {
    const { errors, reasons } = await mirrored.drained();
    assert.deepEqual({ errors, reasons: { ...reasons, exposure: 0 } }, { errors: 0, reasons: { exposure: 0 } });
    assert.deepEqual(await mirrored.onMirror(all), await mirrored.onSource(all));
    const rows = await mirrored.onMirror(all);
    return rows.find((row) => row.label === label) ?? {};
  }

  it('given at its start are those of its transactions on the mirror', async (t) => {
    const options = '-c search_path=other -c statement_timeout=7s';
    const client = await connect(inReverse(t), { application_name: 'till', options });
    await see(client, 'startup');
    const { place, application, timeout } = await seen('startup');
    assert.deepEqual({ place, application, timeout }, { place: 'other', application: 'till', timeout: '7s' });
  });

  it('keep their letters there, whatever encoding its connection speaks', async (t) => {
    const test = inReverse(t);
    const [first, second] = [await connect(test), await connect(test)];
    for (const [client, name] of [
      [first, 'Jos\\00E9'],
      [second, '\\00DClk\\00FC'],
    ] as const) {
      await client.query('SET client_encoding = LATIN1');
      await client.query(`SELECT set_config('my.name', U&'${name}', false)`);
    }
    const label = `SELECT $1 || encode(convert_to(current_setting('my.name'), 'UTF8'), 'hex')`;
    for (const round of ['one ', 'two ']) {
      for (const client of [first, second]) await client.query(`INSERT INTO seen (label) ${label}`, [round]);
    }
    assert.notDeepEqual(await seen('one 4a6f73c3a9'), {});
    assert.notDeepEqual(await seen('two c39c6c6bc3bc'), {});
  });

  it('set later follow, and those of another client on the same connection do not', async (t) => {
    const test = inReverse(t);
    const [first, second] = [await connect(test, { application_name: 'one' }), await connect(test)];
    await first.query(`SET TimeZone = 'Asia/Tokyo'`);
    await first.query(`SET search_path TO other, public`);
    await first.query(`SET application_name = 'renamed'`);
    await second.query(`SET TimeZone = 'Europe/Rome'; SET DateStyle = 'German'`);
    for (const round of [1, 2, 3]) {
      await see(first, `first ${round}`);
      await see(second, `second ${round}`);
    }
    const one = await seen('first 3');
    assert.deepEqual([one.zone, one.application, one.path], ['Asia/Tokyo', 'renamed', 'other, public']);
    const two = await seen('second 3');
    assert.deepEqual([two.zone, two.style, two.path], ['Europe/Rome', 'German, DMY', '"$user", public']);
    await first.query('RESET TimeZone');
    await see(first, 'reset');
    assert.notEqual((await seen('reset')).zone, 'Asia/Tokyo');
  });

  it('set for a transaction, or in one that was rolled back, hold no longer than on the source', async (t) => {
    const client = await connect(inReverse(t));
    await client.query('BEGIN');
    await client.query(`SET LOCAL TimeZone = 'Asia/Tokyo'`);
    await see(client, 'local');
    await client.query('COMMIT');
    await see(client, 'after local');
    await client.query('BEGIN');
    await client.query(`SET TimeZone = 'Asia/Seoul'`);
    await client.query('ROLLBACK');
    await see(client, 'after rollback');
    assert.equal((await seen('local')).zone, 'Asia/Tokyo');
    assert.equal((await seen('after local')).zone, (await seen('after rollback')).zone);
    assert.notEqual((await seen('after local')).zone, 'Asia/Tokyo');
  });

  it('count for what was sent behind them, before they were answered', async (t) => {
    const { host, port } = mirrored.pgmirror;
    const client = await WireClient.login({ host, port }, alice);
    inReverse(t).after(async () => client.end());
    const texts = [
      `SET statement_timeout = '8s'`,
      `INSERT INTO seen (label) VALUES ('sent behind one SET')`,
      'SET search_path = other, public',
      `INSERT INTO seen (label) VALUES ('sent behind two')`,
      'BEGIN',
      'SET ROLE teller',
      'COMMIT',
      `INSERT INTO seen (label) VALUES ('sent behind three')`,
      'RESET ROLE',
      `INSERT INTO seen (label) VALUES ('sent behind a RESET')`,
    ];
    client.send(...texts.map((text) => query(text)));
    for (const _ of texts) await client.readUntil('Z');
    client.send(query(`INSERT INTO seen (label) VALUES ('sent later')`));
    await client.readUntil('Z');
    assert.equal((await seen('sent behind one SET')).timeout, '8s');
    assert.equal((await seen('sent behind two')).place, 'other');
    assert.equal((await seen('sent behind three')).role, 'teller');
    assert.equal((await seen('sent later')).place, 'other');
  });

  it('set in transactions that were not mirrored are known to those that are', async (t) => {
    const client = await connect(inReverse(t));
    await mirrored.pgmirror.admin('SET mirror_exposure = 0');
    await client.query(`SET TimeZone = 'America/Lima'`);
    await client.query('SET ROLE teller');
    await mirrored.pgmirror.admin('SET mirror_exposure = 1');
    await see(client, 'unseen');
    const { zone, role } = await seen('unseen');
    assert.deepEqual({ zone, role }, { zone: 'America/Lima', role: 'teller' });
  });
});
