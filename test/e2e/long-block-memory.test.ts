import assert from 'node:assert/strict';
import { after, before, describe, it } from 'node:test';

import { query } from '../support/bytes.ts';
import { inReverse } from '../support/cleanup.ts';
import { Mirrored } from '../support/mirrored.ts';
import type { RunningPostgres } from '../support/postgres.ts';
import { residentBytes, skipWithoutProc } from '../support/processes.ts';
import { startWatchedPostgres } from '../support/watched-postgres.ts';
import { WireClient } from '../support/wire-client.ts';

const mebibyte = 1_048_576;

describe('A block of very many short statements', { skip: skipWithoutProc }, () => {
  const cleanup = inReverse({ after });
  let source: RunningPostgres;

  before(async () => {
    source = await startWatchedPostgres(cleanup);
  });

  it('is recorded in not much more memory than its bytes, and mirrored whole', async (t) => {
    const mirrored = await Mirrored.start(
      inReverse(t),
      { source },
      { schema: 'CREATE UNLOGGED TABLE filled (id int)' },
    );
    const client = await WireClient.login(mirrored.pgmirror, {
      user: 'alice',
      database: 'app',
      password: 'alice-password',
    });
    await client.query('SELECT 1');
    const atFirst = residentBytes(mirrored.pgmirror.processId);
    const insert = (id: number): Buffer => query(`INSERT INTO filled VALUES (${id})`);
    client.send(query('BEGIN'));
    await client.expect('C', 'Z');
    for (let first = 0; first < 30_000; first += 100) {
      client.send(...Array.from({ length: 100 }, (_, index) => insert(first + index)));
      for (let answered = 0; answered < 100; answered += 1) await client.expect('C', 'Z');
    }
    const grown = residentBytes(mirrored.pgmirror.processId) - atFirst;
    assert.ok(grown < 64 * mebibyte, `the pooler grew by ${grown} bytes`);
    client.send(query('COMMIT'));
    await client.expect('C', 'Z');
    await client.end();

    // The mirror gives way to all that keeps a machine busy.
    await mirrored.drained({ timeoutMs: 120_000 });
    const rows = await mirrored.onMirror('SELECT count(*)::int, count(DISTINCT id)::int AS different FROM filled');
    assert.deepEqual(rows, [{ count: 30_000, different: 30_000 }]);
  });
});
