import {
  bind,
  close,
  cstr,
  describe,
  execute,
  int16,
  int32,
  msg,
  parse,
  rowValues,
  sync,
} from '../../support/bytes.ts';
import { blockPipeline, blocksWithin, failedBlock, failedCopy, procedure, savepoints } from './blocks.ts';
import type { RandomClient } from './random-client.ts';
import { begun, change, insert, read } from './statements.ts';
import { vanishAhead, vanishAtWork, vanishInBlock, vanishInChain } from './vanishing.ts';

/** Run on both sides before: what all clients need, and the tables of each. */
export function schemaFor(clients: number): string {
  const own = Array.from({ length: clients }, (_, number) => {
    const name = `c${number}`;
    return `CREATE SCHEMA ${name} AUTHORIZATION plain;
      CREATE TABLE ${name}.item (id integer PRIMARY KEY, note text, amount integer NOT NULL DEFAULT 0, at text);
      CREATE TABLE ${name}.parent (id integer PRIMARY KEY);
      CREATE TABLE ${name}.child (id integer REFERENCES ${name}.parent DEFERRABLE INITIALLY DEFERRED);
      CREATE PROCEDURE ${name}.put(first integer, then_fails boolean) LANGUAGE plpgsql AS $$ BEGIN
        RAISE NOTICE 'put %', first;
        INSERT INTO ${name}.item VALUES (first, 'kept'); COMMIT; INSERT INTO ${name}.item VALUES (first + 1, 'undone'); ROLLBACK;
        INSERT INTO ${name}.item VALUES (first + 2, 'last'); IF then_fails THEN RAISE EXCEPTION 'no'; END IF; END $$;
      CREATE TABLE ${name}.counter (n integer); INSERT INTO ${name}.counter VALUES (0);
      GRANT ALL ON ALL TABLES IN SCHEMA ${name} TO plain;`;
  });
  return `DO $$ BEGIN CREATE ROLE plain; EXCEPTION WHEN duplicate_object THEN NULL; END $$; ${own.join('\n')}`;
}

/** One transaction, or a few that belong together; counts itself. */
type Deed = (client: RandomClient) => Promise<void>;

/** Everything a client may do, by name, with how often. */
const deeds: readonly (readonly [name: string, weight: number, deed: Deed])[] = [
  ['a statement', 20, async (c) => void (await c.run(change(c)))],
  [
    'with parameters',
    12,
    async (c) =>
      void (await c.execute(`UPDATE ${c.schema}.item SET note = $2 WHERE id = $1::int`, String(c.usedId()), 'é')),
  ],
  ['a block', 10, async (c) => c.runAll('BEGIN', change(c), change(c), change(c), 'COMMIT')],
  ['a block rolled back', 5, async (c) => c.runAll('BEGIN', change(c), change(c), 'ROLLBACK')],
  ['several statements in one query', 5, async (c) => void (await c.run(`${change(c)}; ${change(c)}; ${change(c)}`))],
  ['blocks within one query', 2, async (c) => void (await c.run(`BEGIN; ${insert(c)}; COMMIT; ${insert(c)}`))],
  ['a failure', 5, failure],
  ['a failure, and the client’s retry', 3, retry],
  ['a serialization failure, and the client’s retry', 2, serializationFailure],
  ['a block that failed', 5, failedBlock],
  [
    'a chain of blocks',
    2,
    async (c) => c.runAll('BEGIN', insert(c), 'ROLLBACK AND CHAIN', insert(c), 'COMMIT AND CHAIN', insert(c), 'COMMIT'),
  ],
  ['a chain whose client goes', 2, vanishInChain],
  ['blocks that begin and end amid a query', 2, blocksWithin],
  ['a procedure that commits', 2, procedure],
  ['a pipeline with blocks in it', 3, blockPipeline],
  ['a COPY that fails half-way', 2, failedCopy],
  ['savepoints', 5, savepoints],
  ['a failure at the end', 4, deferredFailure],
  ['a pipeline', 4, pipeline],
  ['statements prepared by name', 6, named],
  ['the unnamed statement, used twice', 3, unnamed],
  ['COPY', 4, copy],
  ['a portal read in parts', 2, portal],
  ['a cursor', 3, cursor],
  ['settings', 6, settings],
  ['settings of a transaction', 3, localSettings],
  ['a role', 2, role],
  ['a cancel', 2, cancel],
  ['a client that goes in its block', 2, vanishInBlock],
  ['a client that goes with its work under way', 2, vanishAtWork],
  ['a client that goes with blocks in flight', 2, vanishAhead],
  ['a server connection that is lost', 1, lostServer],
  ['what cannot be forced', 2, unforceable],
  [
    'a procedural block',
    2,
    async (c) => void (await c.run(`DO $$ BEGIN ${insert(c)}; UPDATE ${c.schema}.counter SET n = n + 1; END $$`)),
  ],
  ['temporary tables', 2, temporary],
  [
    'locks of the session',
    1,
    async (c) =>
      several(c, `SELECT pg_advisory_lock(${c.number})`, insert(c), `SELECT pg_advisory_unlock(${c.number})`),
  ],
  [
    'PREPARE and EXECUTE',
    2,
    async (c) =>
      several(
        c,
        `PREPARE put (int) AS INSERT INTO ${c.schema}.item VALUES ($1, 'prepared')`,
        `EXECUTE put(${c.newId()})`,
        'DEALLOCATE put',
      ),
  ],
  ['a cursor that outlives its block', 1, heldCursor],
  ['large objects', 2, largeObject],
  ['a function call', 1, functionCall],
  ['a two-phase commit', 2, twoPhase],
  ['notifications', 2, notifications],
  ['VACUUM', 1, async (c) => void (await c.run(`VACUUM ${c.schema}.counter`))],
  ['DDL', 2, definitions],
  ['a new connection', 2, reconnect],
];

const total = deeds.reduce((sum, [, weight]) => sum + weight, 0);

/** Does something. */
export async function doSomething(client: RandomClient): Promise<void> {
  let at = client.random.below(total);
  for (const [name, weight, deed] of deeds) {
    at -= weight;
    if (at >= 0) continue;
    client.tally.transactions++;
    try {
      await deed(client);
    } catch (error) {
      throw new Error(`client ${client.number}, ${name}: ${String(error)}`, { cause: error });
    }
    return;
  }
}

async function several(c: RandomClient, ...texts: readonly string[]): Promise<void> {
  c.tally.transactions += texts.length - 1;
  await c.runAll(...texts);
}

async function failure(c: RandomClient): Promise<void> {
  const text = c.random.pick([
    `${insert(c)}; SELECT 1/0`,
    `INSERT INTO ${c.schema}.item SELECT ${c.newId()}, 'x', 1/0`,
  ]);
  await c.run(text, '22012');
}

async function retry(c: RandomClient): Promise<void> {
  const [taken, free] = [c.newId(), c.newId()];
  c.tally.transactions += 2;
  await c.run(insert(c, taken));
  await c.run(`${insert(c, free)}; ${insert(c, taken)}`, '23505');
  await c.run(insert(c, free, 'again'));
}

async function serializationFailure(c: RandomClient): Promise<void> {
  const more = `UPDATE ${c.schema}.counter SET n = n + 1`;
  c.tally.transactions += 2;
  await c.runAll('BEGIN ISOLATION LEVEL REPEATABLE READ', `SELECT n FROM ${c.schema}.counter`, insert(c));
  await c.runBeside(more);
  await c.run(more, '40001');
  await c.run('ROLLBACK');
  await c.run(more);
}

async function deferredFailure(c: RandomClient): Promise<void> {
  const orphan = `INSERT INTO ${c.schema}.child VALUES (-1)`;
  switch (c.random.below(3)) {
    case 0:
      await c.run(orphan, '23503');
      return;
    case 1:
      await c.request([parse('', orphan), bind('', ''), execute('')], '23503');
      return;
    default:
      await c.runAll('BEGIN', insert(c), orphan);
      await c.run('COMMIT', '23503');
  }
}

/** Requests sent ahead of their answers, of which the second fails. */
async function pipeline(c: RandomClient): Promise<void> {
  const wire = await c.wire();
  const put = `INSERT INTO ${c.schema}.item VALUES ($1::int, 'ahead')`;
  const id = c.newId();
  const one = (value: number): Buffer[] => [parse('', put), bind('', '', String(value)), execute('')];
  c.tally.transactions += 2;
  wire.send(...one(id), sync, ...one(c.newId()), ...one(id), ...one(c.newId()), sync, ...one(c.newId()), sync);
  for (let answers = 0; answers < 3; answers++) await wire.readUntil('Z');
}

async function named(c: RandomClient): Promise<void> {
  const name = `p${c.random.below(5)}`;
  const use = [bind('', name, String(c.newId())), execute('')];
  await c.request([
    close('S', name),
    parse(name, `INSERT INTO ${c.schema}.item VALUES ($1::int, 'v${c.random.below(3)}')`),
    describe('S', name),
  ]);
  c.tally.transactions += 2;
  await c.request(use);
  await c.run(change(c));
  c.tally.transactions += 1;
  await c.request([bind('', name, String(c.newId())), execute('')]);
}

async function unnamed(c: RandomClient): Promise<void> {
  c.tally.transactions += 2;
  await c.request([parse('', `UPDATE ${c.schema}.counter SET n = n + $1::int`)]);
  await c.request([bind('', '', '1'), execute('')]);
  await c.request([bind('', '', '2'), execute('')]);
}

async function copy(c: RandomClient): Promise<void> {
  const lines = Array.from({ length: 3 }, () => `${c.newId()}\tcopied\t7\t\\N\n`).join('');
  const text = `COPY ${c.schema}.item FROM STDIN`;
  switch (c.random.below(4)) {
    case 0:
      return c.copyIn(text, lines, msg('f', cstr('enough')), '57014');
    case 1:
      return c.copyIn(text, 'no number\n', msg('c'), '22P02');
    case 2:
      await c.run(`COPY (SELECT * FROM ${c.schema}.item ORDER BY id LIMIT 20) TO STDOUT`);
      return;
    default:
      return c.copyIn(text, lines);
  }
}

async function portal(c: RandomClient): Promise<void> {
  await c.request([parse('', read(c)), bind('', ''), execute('', 2), execute('', 2), execute('')]);
}

async function cursor(c: RandomClient): Promise<void> {
  await c.runAll(
    'BEGIN',
    `DECLARE seen CURSOR FOR SELECT * FROM ${c.schema}.item WHERE id >= ${c.firstId} ORDER BY id FOR UPDATE`,
    'FETCH 1 FROM seen',
  );
  const answer = await c.run(`SELECT 1 FROM ${c.schema}.item WHERE id >= ${c.firstId} LIMIT 1`);
  if (answer.some(({ type }) => type === 'D'))
    await c.run(`UPDATE ${c.schema}.item SET note = 'seen' WHERE CURRENT OF seen`);
  await c.runAll('CLOSE seen', 'COMMIT');
}

async function settings(c: RandomClient): Promise<void> {
  const zone = c.random.pick(['Asia/Tokyo', 'UTC', 'America/New_York']);
  const note = `INSERT INTO item (id, note, at) SELECT ${c.newId()}, current_setting('application_name') || current_setting('my.own', true), '2026-01-01 00:00+00'::timestamptz::text`;
  await several(
    c,
    `SET search_path TO ${c.schema}`,
    `SET TimeZone TO '${zone}'`,
    `SELECT set_config('my.own', 'own ${c.random.below(9)}', false)`,
    `SET application_name TO 'app ${c.random.below(3)}'`,
    note,
    c.random.pick(['RESET ALL', 'RESET search_path', 'DISCARD ALL']),
  );
}

async function localSettings(c: RandomClient): Promise<void> {
  await c.runAll('BEGIN', `SET LOCAL search_path TO ${c.schema}`, `SET TimeZone TO 'Asia/Tokyo'`);
  await c.run(`INSERT INTO item (id, at) VALUES (${c.newId()}, '2026-01-01 00:00+00'::timestamptz::text)`);
  await c.run(c.random.pick(['COMMIT', 'ROLLBACK']));
}

async function role(c: RandomClient): Promise<void> {
  const who = `INSERT INTO ${c.schema}.item (id, note) SELECT ${c.newId()}, CASE WHEN current_user = 'plain' THEN 'plain' ELSE 'login' END`;
  await several(c, 'SET ROLE plain', who, 'RESET ROLE');
}

async function cancel(c: RandomClient): Promise<void> {
  if (c.random.below(2) === 0) return c.runCancelled(`${begun}; ${insert(c)}; SELECT pg_sleep(30)`, 'T');
  await c.runAll('BEGIN', insert(c));
  await c.runCancelled('SELECT pg_sleep(30)');
  await c.run('COMMIT');
}

/** Nobody may end backends of the mirror: that is denied there. */
async function lostServer(c: RandomClient): Promise<void> {
  await c.runAll('BEGIN', insert(c));
  const row = (await c.run('SELECT pg_backend_pid()')).find(({ type }) => type === 'D');
  const [processId] = row === undefined ? [] : rowValues(row);
  c.tally.transactions++;
  c.tally.denied++;
  await c.runBeside(`SELECT pg_terminate_backend(${processId})`);
  c.tally.aborted++;
  await c.whenClosed('57P01');
}

async function unforceable(c: RandomClient): Promise<void> {
  c.tally.unsafe++;
  if (c.random.below(2) === 0) {
    await c.run(`DO $$ BEGIN ${insert(c)}; RAISE EXCEPTION 'no'; END $$`, 'P0001');
    return;
  }
  await c.run(`BEGIN; ${insert(c)}; SELECT 1/0; COMMIT`, '22012');
  await c.run('ROLLBACK');
}

async function temporary(c: RandomClient): Promise<void> {
  await several(
    c,
    'CREATE TEMP TABLE mine (id integer)',
    `INSERT INTO mine VALUES (${c.newId()}), (${c.newId()})`,
    `INSERT INTO ${c.schema}.item SELECT id, 'temporary' FROM mine`,
    'DROP TABLE mine',
  );
}

async function heldCursor(c: RandomClient): Promise<void> {
  c.tally.transactions += 2;
  await c.runAll(
    'BEGIN',
    `DECLARE held CURSOR WITH HOLD FOR SELECT generate_series(1, 5)`,
    'COMMIT',
    'FETCH 2 FROM held',
    'CLOSE held',
  );
}

/** Numbers of large objects are one for all clients. */
const largeObjectId = (c: RandomClient): number => 1_000_000 * (c.number + 1) + c.newId();

async function largeObject(c: RandomClient): Promise<void> {
  const id = largeObjectId(c);
  await several(c, `SELECT lo_from_bytea(${id}, 'large')`, `SELECT lo_put(${id}, 2, 'object')`);
  c.tally.transactions++;
  await c.runAll('BEGIN', `SELECT lowrite(lo_open(${id}, 131072), 'new')`, c.random.pick(['COMMIT', 'ROLLBACK']));
}

/** lo_create(oid) by its own OID, 715, with one text argument. */
async function functionCall(c: RandomClient): Promise<void> {
  const wire = await c.wire();
  const value = Buffer.from(String(largeObjectId(c)));
  wire.send(msg('F', int32(715), int16(0), int16(1), int32(value.length), value, int16(0)));
  await wire.expect('V', 'Z');
}

async function twoPhase(c: RandomClient): Promise<void> {
  const gid = `gid ${c.number} ${c.newId()}`;
  await c.runAll('BEGIN', insert(c), `PREPARE TRANSACTION '${gid}'`);
  if (c.random.below(3) === 0) await c.leave();
  c.tally.transactions++;
  await c.run(`${c.random.pick(['COMMIT', 'ROLLBACK'])} PREPARED '${gid}'`);
}

async function notifications(c: RandomClient): Promise<void> {
  if (c.random.below(2) === 0) {
    c.tally.denied++;
    await c.run(`NOTIFY bell_${c.number}`);
    return;
  }
  await c.runAll('BEGIN', insert(c), `NOTIFY bell_${c.number}`, 'COMMIT');
}

async function definitions(c: RandomClient): Promise<void> {
  const table = `${c.schema}.extra_${c.firstId}`;
  c.tally.transactions += 2;
  await c.run(`CREATE TABLE IF NOT EXISTS ${table} (id integer)`);
  await c.runAll(
    'BEGIN',
    `ALTER TABLE ${table} ADD COLUMN IF NOT EXISTS more text`,
    c.random.pick(['COMMIT', 'ROLLBACK']),
  );
  await c.run(c.random.pick([`DROP TABLE ${table}`, `INSERT INTO ${table} VALUES (${c.newId()})`]));
}

async function reconnect(c: RandomClient): Promise<void> {
  await c.leave();
  await c.run(insert(c));
}
