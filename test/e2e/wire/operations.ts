import * as fc from 'fast-check';

import { bind, close, describe, execute, flush, parse, query, sync } from '../../support/bytes.ts';
import { copyData, copyDone, copyFail, functionCall } from './copy-messages.ts';

/** A frontend message as a record, so that a sequence that was shrunk can be read. */
export type Operation =
  | { readonly op: 'parse'; readonly name: string; readonly text: string }
  | { readonly op: 'bind'; readonly portal: string; readonly name: string; readonly values: readonly string[] }
  | { readonly op: 'describe' | 'close'; readonly kind: 'S' | 'P'; readonly name: string }
  | { readonly op: 'execute'; readonly portal: string; readonly rows: number }
  | { readonly op: 'flush' | 'sync' | 'copyDone' | 'copyFail' }
  | { readonly op: 'query' | 'copyData'; readonly text: string }
  | { readonly op: 'call'; readonly value: string };

/** Absolute value of a float8 (pg_proc: `abs`): fails with what is no number. */
const absolute = 1395;

/** `⟨x*3⟩` in a record stands for `xxx`: what is long is written short, too. */
function long(unit: string, times: number): string {
  return `⟨${unit}*${times}⟩`;
}

function spelledOut(text: string): string {
  return text.replaceAll(/⟨([^⟩]*)\*(\d+)⟩/g, (_, unit: string, times: string) => unit.repeat(Number(times)));
}

/** The bytes of an operation. */
export function bytesOf(operation: Operation): Buffer {
  switch (operation.op) {
    case 'parse':
      return parse(spelledOut(operation.name), spelledOut(operation.text));
    case 'bind':
      return bind(operation.portal, spelledOut(operation.name), ...operation.values.map(spelledOut));
    case 'describe':
      return describe(operation.kind, spelledOut(operation.name));
    case 'close':
      return close(operation.kind, spelledOut(operation.name));
    case 'execute':
      return execute(operation.portal, operation.rows);
    case 'flush':
      return flush;
    case 'sync':
      return sync;
    case 'query':
      return query(spelledOut(operation.text));
    case 'copyData':
      return copyData(spelledOut(operation.text));
    case 'copyDone':
      return copyDone;
    case 'copyFail':
      return copyFail('enough');
    case 'call':
      return functionCall(absolute, spelledOut(operation.value));
  }
}

/** Texts for both protocols. Some fail when parsed, some when run. */
const statements = [
  'SELECT 1',
  'SELECT n FROM generate_series(1, 5) AS n',
  'SELECT id, v FROM t ORDER BY id',
  "INSERT INTO t VALUES (20, 'x')",
  "INSERT INTO t VALUES (21, 'y') RETURNING id",
  "UPDATE t SET v = 'z' WHERE id < 3",
  'DELETE FROM t WHERE id = 1',
  'SELECT 1 / 0',
  'SELECT id / 0 FROM t',
  'SELEC',
  'SELECT * FROM nowhere',
  '',
  'INSERT INTO deferred VALUES (1), (1)',
  'SELECT notices()',
  'CALL committing()',
  'COPY c FROM STDIN',
  'COPY c TO STDOUT',
  'TABLE c',
];

/** What begins and ends transactions. */
const control = [
  'BEGIN',
  'COMMIT',
  'ROLLBACK',
  'SAVEPOINT s',
  'ROLLBACK TO s',
  'RELEASE s',
  'BEGIN READ ONLY',
  'COMMIT AND CHAIN',
  'ROLLBACK AND CHAIN',
];

/** What changes the session. */
const session = [
  "SET application_name = 'changed'",
  "SET LOCAL application_name = 'local'",
  'RESET application_name',
  "SET statement_timeout = '30s'",
  "SET TimeZone = 'Asia/Tokyo'",
  "SELECT set_config('application_name', 'by function', false)",
  'SHOW application_name',
  'SHOW TimeZone',
  'SHOW statement_timeout',
  'DEALLOCATE ALL',
  'DISCARD ALL',
  'DISCARD PLANS',
  'DECLARE cur CURSOR FOR SELECT id FROM t ORDER BY id',
  'DECLARE held CURSOR WITH HOLD FOR SELECT id FROM t ORDER BY id',
  'FETCH 1 FROM cur',
  'FETCH 1 FROM held',
  'CLOSE ALL',
  'CREATE TEMP TABLE temporary (id int)',
  'SELECT count(*) FROM temporary',
  'SELECT pg_advisory_lock(1)',
  "SELECT count(*) FROM pg_locks WHERE locktype = 'advisory' AND pid = pg_backend_pid()",
  'SET search_path = pg_catalog',
  'PREPARE sql AS SELECT 7',
  'EXECUTE sql',
];

/** For Query alone: several statements, and what names a statement (a Parse would fix which one that is). */
const several = [
  'DEALLOCATE a',
  'SELECT 1; SELECT 2',
  "BEGIN; INSERT INTO t VALUES (30, 'x'); COMMIT",
  "INSERT INTO t VALUES (31, 'x'); SELECT 1 / 0",
  'SELECT 1; COPY c FROM STDIN; SELECT 2; COPY c FROM STDIN',
  'BEGIN; SELECT 1 / 0',
  'COMMIT; BEGIN; SELECT 3',
  "SET application_name = 'several'; SELECT 1 / 0",
];

/** What is long in the statement, in its rows, in its error, or in what is said beside. */
const longTexts = [
  `SELECT 1 /* ${long('c', 70_000)} */`,
  `SELECT length('${long('s', 140_000)}'), 1 / 0`,
  `INSERT INTO t VALUES (40, '${long('v', 66_000)}') RETURNING v`,
  `SELECT '${long('e', 66_000)}'::int`,
  `SELEC ${long('x', 66_000)}`,
  `SET search_path = pg_catalog, ${long('a, ', 30_000)}public`,
  "SELECT repeat('r', 150000) FROM generate_series(1, 3)",
  'SELECT n FROM generate_series(1, 9000) AS n',
  "SELECT repeat('e', 80000)::int",
  "DO $$ BEGIN RAISE NOTICE '%', repeat('n', 90000); END $$",
  "COPY (SELECT repeat('o', 90000) FROM generate_series(1, 2)) TO STDOUT",
  `SELECT ${long('1 AS a_column_with_a_name_that_is_rather_long, ', 1_600)} 1`,
];
const longName = long('n', 63);

const portal = fc.constantFrom('', '', 'p', 'q');
const rows = fc.constantFrom(0, 0, 1, 2);
const kind = fc.constantFrom('S' as const, 'P' as const);

/** Where what a sequence is made of comes from: with or without what is longer than any buffer. */
function partsOf(lengthy: boolean): fc.Arbitrary<readonly Operation[]> {
  const some = <T>(usual: fc.Arbitrary<T>, extra: readonly T[]): fc.Arbitrary<T> =>
    lengthy ? fc.oneof({ weight: 3, arbitrary: usual }, { weight: 1, arbitrary: fc.constantFrom(...extra) }) : usual;
  const name = some(fc.constantFrom('', 'a', 'b'), [longName, `${longName}a`, `${longName}${long('b', 5_000)}`]);
  const text = some(
    fc.oneof(
      { weight: 6, arbitrary: fc.constantFrom(...statements) },
      { weight: 3, arbitrary: fc.constantFrom(...control) },
      { weight: 3, arbitrary: fc.constantFrom(...session) },
      { weight: 2, arbitrary: fc.constant('SELECT $1::int') },
    ),
    longTexts,
  );
  const values = some(fc.constantFrom<readonly string[]>([], [], [], ['1'], ['x'], ['1', '2']), [
    [`${long('0', 70_000)}1`],
    [long('x', 200_000)],
    ['1', long('2', 66_000)],
  ]);
  const data = some(fc.constantFrom('1\n', '2\n3\n', 'x\n', '4'), [
    long('1\n', 40_000),
    `${long('0', 140_000)}5\n`,
    `6\n${long('x', 70_000)}\n`,
    `7\n${long(' ', 1_000)}`,
  ]);
  const value = some(fc.constantFrom('-1', 'x'), [`-${long('0', 70_000)}1`, long('x', 70_000)]);

  const parsing = fc.record({ op: fc.constant('parse' as const), name, text });
  const querying = fc.record({
    op: fc.constant('query' as const),
    text: fc.oneof({ weight: 5, arbitrary: text }, { weight: 1, arbitrary: fc.constantFrom(...several) }),
  });
  const copying = fc.record({ op: fc.constant('copyData' as const), text: data });
  const single: fc.Arbitrary<Operation> = fc.oneof(
    { weight: 4, arbitrary: parsing },
    { weight: 4, arbitrary: fc.record({ op: fc.constant('bind' as const), portal, name, values }) },
    { weight: 2, arbitrary: fc.record({ op: fc.constantFrom('describe' as const, 'close' as const), kind, name }) },
    { weight: 4, arbitrary: fc.record({ op: fc.constant('execute' as const), portal, rows }) },
    { weight: 5, arbitrary: fc.constant({ op: 'sync' as const }) },
    { weight: 2, arbitrary: fc.constant({ op: 'flush' as const }) },
    { weight: 4, arbitrary: querying },
    { weight: 1, arbitrary: copying },
    { weight: 1, arbitrary: fc.constantFrom({ op: 'copyDone' as const }, { op: 'copyFail' as const }) },
    { weight: 1, arbitrary: fc.record({ op: fc.constant('call' as const), value }) },
  );
  return fc.oneof(
    { weight: 6, arbitrary: single.map((operation): readonly Operation[] => [operation]) },
    { weight: 4, arbitrary: whole(name, text) },
    { weight: 1, arbitrary: copy(data) },
  );
}

/** What drivers send together: Parse, Bind, Describe, Execute, Sync, with or without some of them. */
function whole(name: fc.Arbitrary<string>, text: fc.Arbitrary<string>): fc.Arbitrary<readonly Operation[]> {
  return fc
    .record({ name, portal, text, rows, parse: fc.boolean(), describe: fc.boolean(), sync: fc.boolean() })
    .map((part) => [
      ...(part.parse ? [{ op: 'parse' as const, name: part.name, text: part.text }] : []),
      { op: 'bind' as const, portal: part.portal, name: part.name, values: part.text.includes('$1') ? ['1'] : [] },
      ...(part.describe ? [{ op: 'describe' as const, kind: 'P' as const, name: part.portal }] : []),
      { op: 'execute' as const, portal: part.portal, rows: part.rows },
      ...(part.sync ? [{ op: 'sync' as const }] : []),
    ]);
}

/** A COPY with its data, by either protocol, with a Sync before the data or not. */
function copy(data: fc.Arbitrary<string>): fc.Arbitrary<readonly Operation[]> {
  return fc
    .record({
      extended: fc.boolean(),
      early: fc.boolean(),
      parts: fc.array(data, { maxLength: 3 }),
      end: fc.constantFrom('copyDone' as const, 'copyFail' as const),
      late: fc.boolean(),
    })
    .map(({ extended, early, parts, end, late }) => {
      const from = 'COPY c FROM STDIN';
      const command: Operation[] = extended
        ? [
            { op: 'parse', name: '', text: from },
            { op: 'bind', portal: '', name: '', values: [] },
            { op: 'execute', portal: '', rows: 0 },
          ]
        : [{ op: 'query', text: from }];
      return [
        ...command,
        ...(early ? [{ op: 'sync' as const }] : []),
        ...parts.map((part) => ({ op: 'copyData' as const, text: part })),
        { op: end },
        ...(late ? [{ op: 'sync' as const }] : []),
      ];
    });
}

/** Messages, the offsets at which their bytes are divided, and whether the client goes behind them with a Terminate. */
export interface Sequence {
  readonly operations: readonly Operation[];
  readonly splits: readonly number[];
  readonly terminates: boolean;
}

function sequenceOf(lengthy: boolean, splits: fc.Arbitrary<readonly number[]>): fc.Arbitrary<Sequence> {
  const operations = fc
    .array(partsOf(lengthy), { minLength: 1, maxLength: 14 })
    .map((parts) => withoutFreedPortal(parts.flat()));
  const terminates = fc.oneof(
    { weight: 15, arbitrary: fc.constant(false) },
    { weight: 1, arbitrary: fc.constant(true) },
  );
  return fc.record({ operations, splits, terminates });
}

/** Any sequence of messages, legal and illegal; one of some thirty with what is longer than any buffer. */
export const sequence: fc.Arbitrary<Sequence> = fc.oneof(
  { weight: 30, arbitrary: sequenceOf(false, fc.array(fc.nat(600), { maxLength: 4 })) },
  { weight: 1, arbitrary: sequenceOf(true, fc.array(fc.oneof(fc.nat(600), fc.nat(500_000)), { maxLength: 12 })) },
);

/**
 * A Query that fails in a transaction block leaves the unnamed portal behind, and an Execute of it has PostgreSQL read
 * memory that was freed: PostgreSQL 18 dies of that now and then. Behind a Query, it is executed only where it was bound anew.
 */
function withoutFreedPortal(operations: readonly Operation[]): readonly Operation[] {
  let queried = false;
  let bound = false;
  return operations.filter((operation) => {
    if (operation.op === 'query') queried = true;
    if (operation.op === 'query' || operation.op === 'sync') bound = false;
    if (operation.op === 'bind' && operation.portal === '') bound = true;
    return operation.op !== 'execute' || operation.portal !== '' || bound || !queried;
  });
}
