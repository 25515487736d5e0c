import assert from 'node:assert/strict';
import { after, before, describe, it } from 'node:test';

import { Client } from 'pg';

import { alice } from '../support/alice.ts';
import { query } from '../support/bytes.ts';
import { inReverse, type Cleanup } from '../support/cleanup.ts';
import { Mirrored } from '../support/mirrored.ts';
import { startWatchedPostgres } from '../support/watched-postgres.ts';
import { WireClient } from '../support/wire-client.ts';

/** What functions do to a session shows in no statement; a row tells what there was of it when it was inserted. */
const schema = `
  CREATE TABLE seen (
    label text PRIMARY KEY,
    timeout text DEFAULT current_setting('lock_timeout'),
    tenant text DEFAULT coalesce(current_setting('app.tenant', true), ''),
    locks int);
  CREATE FUNCTION configure() RETURNS void LANGUAGE plpgsql AS $$ BEGIN
    EXECUTE 'SET lock_timeout = 7000'; EXECUTE 'SET app.tenant = ''first''';
    EXECUTE 'SELECT pg_advisory_lock(1)';
  END $$;
  CREATE FUNCTION remember() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN
    NEW.locks := (SELECT count(*) FROM pg_locks WHERE locktype = 'advisory' AND pid = pg_backend_pid());
    RETURN NEW;
  END $$;
  CREATE TRIGGER remember BEFORE INSERT ON seen FOR EACH ROW EXECUTE FUNCTION remember();`;

const UNTOUCHED = { timeout: '0', tenant: '', locks: 0 };
const CONFIGURED = { timeout: '7s', tenant: 'first', locks: 1 };

describe('With server_reset = "always", what functions did to a session', () => {
  const cleanup = inReverse({ after });
  let mirrored: Mirrored;

  before(async () => {
    const server = await startWatchedPostgres(cleanup);
    // One connection on each side: what a client leaves behind would be seen by the next.
    const source = { pool_size: 1, server_reset: 'always' };
    mirrored = await Mirrored.start(cleanup, { source: server }, { schema, source, mirror: { pool_size: 1 } });
  });

  async function connect(test: Cleanup): Promise<Client> {
    const client = new Client({ connectionString: mirrored.url });
    client.on('error', () => {});
    test.after(async () => client.end());
    await client.connect();
    return client;
  }

  /** The rows by their labels, which are equal on the source and on the mirror. */
  async function rows(...labels: string[]): Promise<Record<string, unknown>[]> {
    const { errors, dropped } = await mirrored.drained();
    assert.deepEqual({ errors, dropped }, { errors: 0, dropped: 0 });
    const all = 'SELECT * FROM seen ORDER BY label';
    const found = await mirrored.onMirror(all);
    assert.deepEqual(found, await mirrored.onSource(all));
    return labels.map((label) => {
      const { label: _, ...row } = found.find((each) => each.label === label) ?? {};
      return row;
    });
  }

  it('is gone on the mirror for the next client, and for the same one', async (t) => {
    const test = inReverse(t);
    const [one, two] = [await connect(test), await connect(test)];
    const insert = { name: 'insert', text: 'INSERT INTO seen (label) VALUES ($1)' };
    await one.query({ ...insert, values: ['before'] });
    await one.query('SELECT configure()');
    await two.query({ ...insert, values: ['of another'] });
    await one.query('SELECT configure()');
    await one.query({ ...insert, values: ['of the same'] });
    await one.query('BEGIN');
    await one.query('SELECT configure()');
    await one.query({ ...insert, values: ['within'] });
    await one.query('COMMIT');
    await two.query({ ...insert, values: ['after'] });
    assert.deepEqual(await rows('before', 'of another', 'of the same', 'within', 'after'), [
      UNTOUCHED,
      UNTOUCHED,
      UNTOUCHED,
      CONFIGURED,
      UNTOUCHED,
    ]);
  });

  it('is there for what was sent right behind, since the source had not reset its session either', async (t) => {
    const { host, port } = mirrored.pgmirror;
    const client = await WireClient.login({ host, port }, alice);
    inReverse(t).after(async () => client.end());
    client.send(query('SELECT configure()'), query(`INSERT INTO seen (label) VALUES ('behind')`));
    for (let answers = 0; answers < 2; answers++) await client.readUntil('Z');
    assert.deepEqual(await rows('behind'), [CONFIGURED]);
  });

  it('leaves what is followed: settings, prepared statements, temporary tables of one client', async (t) => {
    const test = inReverse(t);
    const [one, two] = [await connect(test), await connect(test)];
    await one.query(`SET lock_timeout = '8s'`);
    await two.query('CREATE TEMP TABLE own (label text)');
    await two.query(`INSERT INTO own VALUES ('pinned')`);
    for (const label of ['set 1', 'set 2']) {
      await one.query({ name: 'own', text: 'INSERT INTO seen (label) VALUES ($1)', values: [label] });
      await two.query('INSERT INTO seen (label) SELECT label || $1 FROM own', [label]);
    }
    const timeouts = (await rows('set 1', 'set 2', 'pinnedset 2')).map(({ timeout }) => timeout);
    assert.deepEqual(timeouts, ['8s', '8s', '0']);
  });
});
