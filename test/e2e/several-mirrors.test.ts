import assert from 'node:assert/strict';
import { after, before, describe, it } from 'node:test';

import { inReverse } from '../support/cleanup.ts';
import { eventually } from '../support/eventually.ts';
import { Mirrored } from '../support/mirrored.ts';
import { databaseEntry } from '../support/pgmirror.ts';
import { createDatabase, query, type RunningPostgres } from '../support/postgres.ts';
import { startWatchedPair } from '../support/watched-postgres.ts';

const schema = 'CREATE TABLE item (id integer PRIMARY KEY)';

describe('Two mirrors of one source', () => {
  const cleanup = inReverse({ after });
  let mirrored: Mirrored;
  let second: RunningPostgres;
  let secondUrl: string;

  before(async () => {
    const [source, other] = await startWatchedPair(cleanup);
    second = other;
    mirrored = await Mirrored.start(cleanup, { source }, { schema });
    const database = await createDatabase(second, 'second');
    secondUrl = second.url(database);
    await query(secondUrl, schema);
    await mirrored.pgmirror.reload({
      databases: [...(mirrored.files.databases ?? []), databaseEntry('second', second, database)],
      mirroring: [...(mirrored.files.mirroring ?? []), { source_db: 'app', destination_db: 'second' }],
    });
    await mirrored.whenMirroring('second');
    await mirrored.whenMirroring('shadow');
  });

  it('both get every transaction', async () => {
    await mirrored.query('INSERT INTO item VALUES (1)');
    for (const destination of ['shadow', 'second']) {
      const { mirrored: replayed, total, errors } = await mirrored.drained({ destination });
      assert.deepEqual({ replayed, total, errors }, { replayed: 1, total: 1, errors: 0 });
    }
    assert.deepEqual(await mirrored.onMirror('SELECT id FROM item'), [{ id: 1 }]);
    assert.deepEqual(await query(secondUrl, 'SELECT id FROM item'), [{ id: 1 }]);
  });

  it('do not notice each other: one goes and is back, the other goes on', async () => {
    const from = mirrored.pgmirror.log.lines.length;
    await second.kill('SIGQUIT');
    let id = 1;
    await eventually(async () => {
      id += 1;
      await mirrored.query(`INSERT INTO item VALUES (${id})`);
      return ((await mirrored.counts('second')).reasons.mirror_down ?? 0) >= 3;
    });
    assert.equal((await mirrored.counts('second')).state, 'down');
    const { reasons, errors } = await mirrored.drained({ destination: 'shadow' });
    assert.deepEqual({ reasons, errors }, { reasons: {}, errors: 0 });
    const count = 'SELECT count(*)::int AS count FROM item';
    assert.deepEqual(await mirrored.onMirror(count), await mirrored.onSource(count));

    await second.restart();
    await mirrored.whenMirroring('second');
    await mirrored.query('INSERT INTO item VALUES (-1)');
    await mirrored.drained({ destination: 'second' });
    assert.deepEqual(await query(secondUrl, 'SELECT id FROM item WHERE id < 0'), [{ id: -1 }]);

    // One line when it went, one when it was back.
    const told = mirrored.pgmirror.log.lines.slice(from).filter((line) => line.destination === 'second');
    assert.deepEqual(
      told.map(({ msg }) => msg),
      ['mirror is down', 'mirror is up'],
    );
  });
});
