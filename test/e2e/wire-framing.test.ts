import assert from 'node:assert/strict';
import { after, before, describe, it } from 'node:test';

import { bind, execute, parse, query, rowValues, sync } from '../support/bytes.ts';
import { inReverse } from '../support/cleanup.ts';
import { eventually, within } from '../support/eventually.ts';
import type { RunningPostgres } from '../support/postgres.ts';
import { TemporaryFiles } from '../support/temporary-files.ts';
import { WireClient } from '../support/wire-client.ts';
import { startWatchedPostgres } from '../support/watched-postgres.ts';
import { Comparison } from './wire/comparison.ts';
import { copyData, copyDone, functionCall } from './wire/copy-messages.ts';

const hundredMegabytes = 100_000_000;
/** pg_proc: `repeat`. */
const repeatFunction = 1622;

describe('Messages longer than any buffer', () => {
  const cleanup = inReverse({ after });
  let server: RunningPostgres;
  let comparison: Comparison;

  before(async () => {
    server = await startWatchedPostgres(cleanup);
    comparison = await Comparison.start(cleanup, server, { default_pool_size: 1 });
  });

  const answers = [
    { name: 'a row', request: query(`SELECT repeat('x', ${hundredMegabytes})`) },
    { name: 'the result of a FunctionCall', request: functionCall(repeatFunction, 'x', String(hundredMegabytes)) },
    { name: 'a notice', request: query(`DO $$ BEGIN RAISE NOTICE '%', repeat('x', ${hundredMegabytes}); END $$`) },
  ];
  for (const { name, request } of answers) {
    it(`pass to the client: ${name} of 100 MB`, async () => {
      const client = await comparison.pooled();
      const count = countBytes(client);
      client.send(request);
      await within(count.reached(hundredMegabytes + 9), 30_000, name);
      await client.end();
    });
  }

  it('pass to the server: values, texts and COPY data of 20 MB', async () => {
    const client = await comparison.pooled();
    const long = 'x'.repeat(20_000_000);
    client.send(parse('a', 'SELECT length($1)'), bind('', 'a', long), execute(''), sync);
    await client.expect('1', '2', 'D', 'C', 'Z');
    client.send(query(`SELECT length('${long}')`));
    await client.expect('T', 'D', 'C', 'Z');
    client.send(query('COPY t FROM STDIN'), copyData(`1000\t${long}\n`), copyDone);
    await client.expect('G', 'C', 'Z');
    client.send(parse('', `SELECT length('${long}')`), bind('', ''), execute(''), sync);
    await client.expect('1', '2', 'D', 'C', 'Z');
    await client.end();
  });

  it('go at the client’s pace, and others are served meanwhile', async (t) => {
    const wide = await Comparison.start(inReverse(t), server, { default_pool_size: 2 });
    const slow = await wide.pooled();
    slow.socket.pause();
    slow.send(query(`SELECT repeat('x', 1000) FROM generate_series(1, 300000)`));
    await eventually(async () => (await wide.connections()).some(({ wait_event: event }) => event === 'ClientWrite'));
    const other = await wide.pooled();
    for (let round = 0; round < 200; round += 1) {
      other.send(query('SELECT 1'));
      await other.expect('T', 'D', 'C', 'Z');
    }
    const count = countBytes(slow);
    slow.socket.resume();
    await within(count.reached(300_000_000), 30_000, 'all rows');
    await Promise.all([slow.end(), other.end()]);
  });

  it('are taken by the client before its session is asked or changed for what comes next', async (t) => {
    const cleaned = inReverse(t);
    const { folder } = await TemporaryFiles.start(cleaned);
    const local = await Comparison.start(cleaned, server, { default_pool_size: 1, unix_socket_dir: folder });
    const row = 'x'.repeat(30_000);
    // Of so many answers, more or less, the last is what the socket's buffers do not take.
    for (let count = 6; count < 16; count += 1) {
      const client = await WireClient.login(
        { host: folder, port: local.pgmirror.port },
        { user: 'alice', database: 'app' },
      );
      client.send(parse('a', "SELECT 'a'"), sync, query('BEGIN'));
      await client.expect('1', 'Z', 'C', 'Z');
      client.socket.pause();
      client.send(...Array.from({ length: count }, () => query(`SELECT '${row}'`)), query('EXECUTE a'));
      // All is answered, or as much as may be answered before the client reads.
      await eventually(async () => (await local.connections()).every(({ state }) => state === 'idle in transaction'));
      client.socket.resume();
      for (let read = 0; read < count; read += 1) {
        const [, message] = await client.expect('T', 'D', 'C', 'Z');
        assert.ok(message !== undefined && rowValues(message)[0] === row);
      }
      await client.expect('T', 'D', 'C', 'Z');
      await client.end();
    }
  });

  it('are what a server may report at login', async (t) => {
    const other = await Comparison.start(inReverse(t), server, { default_pool_size: 1 });
    const path = Array.from({ length: 5_000 }, (_, at) => `a_schema_with_a_long_name_${at}`).join(', ');
    await other.ask(
      `DO $$ BEGIN EXECUTE format('ALTER DATABASE %I SET search_path = ${path}', current_database()); END $$`,
    );
    await other.killConnections();
    const client = await other.pooled();
    assert.equal(
      (await client.query('SELECT 1'))
        .map(({ type }) => type)
        .filter((type) => type !== 'S')
        .join(''),
      'TDCZ',
    );
    await client.end();
  });
});

/** Counts what comes from now on, without keeping it. */
function countBytes(client: WireClient): { reached: (goal: number) => Promise<void> } {
  let count = 0;
  let wake: (() => void) | undefined;
  client.socket.removeAllListeners('data');
  client.socket.on('data', (chunk: Buffer) => {
    count += chunk.length;
    wake?.();
  });
  return {
    reached: async (goal) => {
      const done = Promise.withResolvers<void>();
      wake = () => {
        if (count >= goal) done.resolve();
      };
      wake();
      await done.promise;
    },
  };
}
