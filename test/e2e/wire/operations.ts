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

/** The bytes of an operation. */
export function bytesOf(operation: Operation): Buffer {
  switch (operation.op) {
    case 'parse':
      return parse(operation.name, operation.text);
    case 'bind':
      return bind(operation.portal, operation.name, ...operation.values);
    case 'describe':
      return describe(operation.kind, operation.name);
    case 'close':
      return close(operation.kind, operation.name);
    case 'execute':
      return execute(operation.portal, operation.rows);
    case 'flush':
      return flush;
    case 'sync':
      return sync;
    case 'query':
      return query(operation.text);
    case 'copyData':
      return copyData(operation.text);
    case 'copyDone':
      return copyDone;
    case 'copyFail':
      return copyFail('enough');
    case 'call':
      return functionCall(absolute, operation.value);
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

const name = fc.constantFrom('', 'a', 'b');
const portal = fc.constantFrom('', '', 'p', 'q');
const text = fc.oneof(
  { weight: 6, arbitrary: fc.constantFrom(...statements) },
  { weight: 3, arbitrary: fc.constantFrom(...control) },
  { weight: 3, arbitrary: fc.constantFrom(...session) },
  { weight: 2, arbitrary: fc.constant('SELECT $1::int') },
);
const values = fc.constantFrom<readonly string[]>([], [], [], ['1'], ['x'], ['1', '2']);
const rows = fc.constantFrom(0, 0, 1, 2);
const data = fc.constantFrom('1\n', '2\n3\n', 'x\n', '4');

const parsing = fc.record({ op: fc.constant('parse' as const), name, text });
const querying = fc.record({
  op: fc.constant('query' as const),
  text: fc.oneof({ weight: 5, arbitrary: text }, { weight: 1, arbitrary: fc.constantFrom(...several) }),
});
const copying = fc.record({ op: fc.constant('copyData' as const), text: data });
const kind = fc.constantFrom('S' as const, 'P' as const);
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
  { weight: 1, arbitrary: fc.record({ op: fc.constant('call' as const), value: fc.constantFrom('-1', 'x') }) },
);

/** What drivers send together: Parse, Bind, Describe, Execute, Sync, with or without some of them. */
const whole: fc.Arbitrary<readonly Operation[]> = fc
  .record({ name, portal, text, rows, parse: fc.boolean(), describe: fc.boolean(), sync: fc.boolean() })
  .map((part) => [
    ...(part.parse ? [{ op: 'parse' as const, name: part.name, text: part.text }] : []),
    { op: 'bind' as const, portal: part.portal, name: part.name, values: part.text.includes('$1') ? ['1'] : [] },
    ...(part.describe ? [{ op: 'describe' as const, kind: 'P' as const, name: part.portal }] : []),
    { op: 'execute' as const, portal: part.portal, rows: part.rows },
    ...(part.sync ? [{ op: 'sync' as const }] : []),
  ]);

/** A COPY with its data, by either protocol, with a Sync before the data or not. */
const copy: fc.Arbitrary<readonly Operation[]> = fc
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

/** Any sequence of messages, legal and illegal. */
export const sequence: fc.Arbitrary<readonly Operation[]> = fc
  .array(
    fc.oneof(
      { weight: 6, arbitrary: single.map((operation): readonly Operation[] => [operation]) },
      { weight: 4, arbitrary: whole },
      { weight: 1, arbitrary: copy },
    ),
    { minLength: 1, maxLength: 14 },
  )
  .map((parts) => withoutFreedPortal(parts.flat()));

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
