import { bind, cstr, execute, msg, parse, sync } from '../../support/bytes.ts';
import type { RandomClient } from './random-client.ts';
import { change, insert } from './statements.ts';

export async function blocksWithin(c: RandomClient): Promise<void> {
  switch (c.random.below(3)) {
    case 0:
      await c.run(`${insert(c)}; BEGIN; ${insert(c)}; ROLLBACK; ${insert(c)}`);
      return;
    case 1:
      await c.run(`${insert(c)}; BEGIN; ${insert(c)}`);
      await c.run(`${insert(c)}; ${c.random.pick(['COMMIT', 'ROLLBACK'])}; ${insert(c)}; BEGIN; ${insert(c)}`);
      await c.run(c.random.pick(['COMMIT', 'ROLLBACK']));
      return;
    default:
      await c.run(`BEGIN; ${insert(c)}`);
      await c.run(`${insert(c)}; SELECT 1/0; ROLLBACK`, '22012');
      await c.run(c.random.pick(['COMMIT', 'ROLLBACK']));
  }
}

/** Blocks and single statements, sent ahead with a Sync here and there; the last request fails behind its COMMIT, or before. */
export async function blockPipeline(c: RandomClient): Promise<void> {
  const wire = await c.wire();
  const one = (text: string): Buffer[] => [parse('', text), bind('', ''), execute('')];
  const failing = one('SELECT no_such_column');
  const behind = c.random.below(2) === 0;
  c.tally.transactions += 2;
  wire.send(
    ...[...one(insert(c)), sync, ...one('BEGIN'), ...one(insert(c)), sync],
    ...[...one(insert(c)), ...one('COMMIT AND CHAIN'), ...one(insert(c)), sync],
    ...(behind ? [...one('COMMIT'), ...failing, ...one(insert(c))] : [...failing, ...one('COMMIT')]),
    ...[sync, ...one(behind ? insert(c) : 'ROLLBACK'), sync],
  );
  if (!behind) c.tally.transactions--;
  for (let requests = 5; requests > 0; requests--) await wire.readUntil('Z', 30_000);
}

export async function failedCopy(c: RandomClient): Promise<void> {
  const taken = c.newId();
  const lines = `${c.newId()}\tcopied\n${taken}\tcopied\n${c.newId()}\tcopied\n`;
  const copying = `COPY ${c.schema}.item (id, note) FROM STDIN`;
  await c.runAll('BEGIN', insert(c, taken), 'SAVEPOINT s');
  if (c.random.below(2) === 0) await c.copyIn(`${copying}; COMMIT`, lines, msg('c'), '23505');
  else await c.copyIn(copying, lines, msg('f', cstr('enough')), '57014');
  await c.runAll('ROLLBACK TO s', insert(c), 'COMMIT');
}

export async function failedBlock(c: RandomClient): Promise<void> {
  await c.runAll('BEGIN', insert(c), change(c));
  await c.run('SELECT no_such_column', '42703');
  if (c.random.below(2) === 0) await c.run(insert(c), '25P02');
  await c.run(c.random.pick(['COMMIT', 'END', 'ROLLBACK']));
}

export async function savepoints(c: RandomClient): Promise<void> {
  const taken = c.newId();
  await c.runAll('BEGIN', insert(c, taken), 'SAVEPOINT one', insert(c));
  await c.run(insert(c, taken), '23505');
  await c.runAll('ROLLBACK TO one', insert(c), 'RELEASE one', change(c), c.random.pick(['COMMIT', 'ROLLBACK']));
}

export async function procedure(c: RandomClient): Promise<void> {
  const first = c.newId();
  c.newId();
  c.newId();
  const fails = c.random.below(4) === 0;
  if (fails) {
    c.tally.unsafe++;
    c.tally.transactions++;
  }
  const call = `CALL ${c.schema}.put(${first}, ${fails})`;
  if (c.random.below(2) === 0) await c.run(call, fails ? 'P0001' : '');
  else await c.request([parse('', call), bind('', ''), execute('')], fails ? 'P0001' : '');
  // What it committed before it failed is on the source alone.
  if (fails) await c.run(`DELETE FROM ${c.schema}.item WHERE id = ${first}`);
}
