import type { Client } from 'pg';

import { Random } from '../../../src/cli/demo/random.ts';

export const workloadSchema = `
  CREATE TABLE item (id integer PRIMARY KEY, owner integer, name text, price numeric);
  INSERT INTO item SELECT n, n % 100, 'item ' || n, n FROM generate_series(1, 1000) n;
  CREATE TABLE fixed (id integer PRIMARY KEY, name text); INSERT INTO fixed SELECT n, 'row ' || n FROM generate_series(1, 1000) n;
  CREATE TABLE other (id integer PRIMARY KEY, v integer); INSERT INTO other SELECT n, n FROM generate_series(1, 100) n;
  CREATE TABLE ticket (id serial PRIMARY KEY, made_at timestamptz DEFAULT now(), code uuid DEFAULT gen_random_uuid(), note text);
  CREATE TABLE stamped (id integer PRIMARY KEY, seen_at timestamptz, mark float8, note text);
  INSERT INTO stamped SELECT n, NULL, 0, 'n' FROM generate_series(1, 200) n;
  CREATE TABLE entry (id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY, ticket integer REFERENCES ticket, n integer);
  CREATE TABLE job (id integer PRIMARY KEY, state text); INSERT INTO job SELECT n, 'new' FROM generate_series(1, 500) n;
  CREATE FUNCTION counted() RETURNS bigint LANGUAGE sql AS 'SELECT count(*) FROM other';
  CREATE VIEW owners AS SELECT owner, sum(price) AS total FROM item GROUP BY owner;
  ANALYZE`;

/** `PGMIRROR_COMPARE_SEED` asks again what a run asked, as far as time allows. */
export const seed = Number(process.env.PGMIRROR_COMPARE_SEED ?? Date.now() % 1_000_000);
const numbers = new Random(seed);
const random = (limit: number): number => numbers.between(1, limit);

/** One transaction, or several requests; `number` is another one each time. */
type Workload = (client: Client, number: number) => Promise<unknown>;

const reads: readonly Workload[] = [
  async (client) => client.query('SELECT sum(price), max(name) FROM item'),
  async (client) => client.query('SELECT count(*) FROM other WHERE id < $1', [random(500)]),
  async (client) => client.query({ name: 'by id', text: 'SELECT * FROM item WHERE id = $1', values: [random(1000)] }),
  async (client) => client.query({ name: 'fixed', text: 'SELECT * FROM fixed WHERE id = $1', values: [random(1000)] }),
  async (client) => client.query(`SELECT name FROM fixed WHERE id BETWEEN ${random(900)} AND 950 ORDER BY id`),
  async (client) => client.query('SELECT count(*), min(name) FROM fixed'),
  async (client) => client.query('SELECT counted()'),
  async (client) => client.query('SELECT * FROM owners WHERE owner = $1', [random(99)]),
];

/** As applications do, most requests read. */
const often = [...reads, ...reads, ...reads];

const writes: readonly Workload[] = [
  ...often,
  async (client) => client.query('UPDATE item SET price = price + 1 WHERE id = $1', [random(20)]),
  async (client, number) => client.query('UPDATE item SET owner = $2 WHERE id = $1', [random(20), number]),
  async (client) =>
    client.query('INSERT INTO other VALUES ($1, 1) ON CONFLICT (id) DO UPDATE SET v = 2', [random(500)]),
  async (client, number) => {
    await client.query('BEGIN');
    await client.query('UPDATE item SET owner = $2 WHERE id = $1', [random(20), number]);
    await client.query('SELECT owner FROM item WHERE id = $1', [random(20)]);
    return client.query('COMMIT');
  },
  async (client) => {
    await client.query('BEGIN ISOLATION LEVEL REPEATABLE READ');
    await client.query('SELECT sum(owner) FROM item');
    await client.query('SELECT count(*) FROM other');
    return client.query('COMMIT');
  },
  async (client) => {
    await client.query('BEGIN');
    await client.query('DECLARE c CURSOR FOR SELECT id, price FROM item ORDER BY id');
    await client.query('FETCH 20 FROM c');
    await client.query('FETCH 20 FROM c');
    return client.query('COMMIT');
  },
  async (client) =>
    client.query(
      `UPDATE job SET state = 'done' WHERE id = (SELECT id FROM job WHERE state = 'new' LIMIT 1 FOR UPDATE SKIP LOCKED) RETURNING id`,
    ),
  async (client) => client.query("SELECT count(*) FROM job WHERE state = 'done'"),
];

const generated: readonly Workload[] = [
  ...often,
  async (client, number) => client.query(`INSERT INTO ticket (note) VALUES ('n ${number}') RETURNING *`),
  async (client, number) => client.query(`INSERT INTO ticket (note) VALUES ('m ${number}')`),
  async (client, number) => {
    const { rows } = await client.query('INSERT INTO ticket (note) VALUES ($1) RETURNING id, code', [`o ${number}`]);
    const { id, code } = rows[0] as { id: number; code: string };
    await client.query('SELECT note FROM ticket WHERE id = $1', [id]);
    await client.query('SELECT note FROM ticket WHERE code = $1', [code]);
    return client.query('INSERT INTO entry (ticket, n) VALUES ($1, $2)', [id, number]);
  },
  async (client) => client.query('SELECT * FROM ticket ORDER BY id DESC LIMIT 3'),
  async (client) => client.query('SELECT max(n), count(*) FROM entry'),
  async (client) => client.query("SELECT note FROM ticket WHERE made_at > now() - interval '1 second'"),
  async (client) => client.query('UPDATE stamped SET seen_at = now(), mark = random() WHERE id = $1', [random(200)]),
  async (client) => client.query('SELECT * FROM stamped WHERE id = $1', [random(200)]),
  async (client) => client.query('SELECT count(*) FROM stamped WHERE mark > 0.5'),
  async (client) => client.query('SELECT id, note FROM stamped ORDER BY seen_at NULLS FIRST, id LIMIT 5'),
  async (client) =>
    client.query('SELECT now(), clock_timestamp(), random(), gen_random_uuid(), pg_backend_pid(), txid_current()'),
  async (client) => client.query('SELECT n, ctid, xmin FROM entry ORDER BY id LIMIT 2'),
];

const failures: readonly Workload[] = [
  ...often,
  async (client) => client.query('INSERT INTO other VALUES ($1, 1)', [random(2000)]).catch(() => undefined),
  async (client) => client.query('SELECT 1 / $1::int', [random(2) - 1]).catch(() => undefined),
  async (client) => client.query('SELECT nothing FROM nowhere').catch(() => undefined),
  async (client, number) => {
    await client.query('BEGIN');
    await client.query('UPDATE item SET owner = $2 WHERE id = $1', [random(900), number]);
    await client.query('INSERT INTO ticket (note) VALUES ($1)', ['undone']);
    return client.query('ROLLBACK');
  },
  async (client, number) => {
    await client.query('BEGIN');
    await client.query('SAVEPOINT s');
    await client.query('INSERT INTO other VALUES (1, 1)').catch(() => undefined);
    await client.query('ROLLBACK TO s');
    await client.query('UPDATE item SET owner = $2 WHERE id = $1', [random(900), number]);
    return client.query('COMMIT');
  },
  async (client) => {
    await client.query('BEGIN');
    await client.query('SELECT 1/0').catch(() => undefined);
    await client.query('SELECT 1').catch(() => undefined);
    return client.query('COMMIT');
  },
  async (client, number) => client.query('INSERT INTO ticket (note) VALUES ($1)', [`n ${number}`]),
  async (client) => client.query('SELECT count(*), max(id) FROM ticket'),
  async (client) => client.query('DELETE FROM other WHERE id = $1', [100 + random(1900)]),
];

const inTurn =
  (workloads: readonly Workload[]): Workload =>
  async (client, number) =>
    workloads[number % workloads.length]?.(client, number);

export const workloads: Readonly<Record<string, Workload>> = {
  'concurrent writes': inTurn(writes),
  'generated values': inTurn(generated),
  'rollbacks and errors': inTurn(failures),
};
