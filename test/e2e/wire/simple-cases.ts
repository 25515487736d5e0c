import { bind, describe, execute, flush, msg, parse, query, sync, terminate, int32, cstr, int16 } from '../../support/bytes.ts';
import { copyData, copyDone, copyFail, functionCall } from './copy-messages.ts';
import { says, type Dialogue } from './dialogue.ts';

const copy = 'COPY c FROM STDIN';

/** COPY by both protocols, whole, failing and mixed with other messages (cases 3, 19, 20). */
export const copyCases: readonly Dialogue[] = [
  {
    name: 'COPY in and out',
    steps: [
      says('G', query(copy)),
      says('CZ', copyData('1\n2\n'), copyData('3\n'), copyDone),
      says('HdddcCZ', query('COPY c TO STDOUT')),
      says('GCZ', query(copy), copyData('4\n'), copyDone),
      says('GEZ', query(copy), copyData('5\n'), copyFail('enough')),
      says('TDCZ', query('SELECT count(*) FROM c')),
    ],
  },
  {
    name: '19: COPY fails before CopyDone, and what is still sent is ignored',
    steps: [
      says('G', query(copy)),
      says('EZ', copyData('x\n')),
      says('', copyData('1\n'), copyData('2\n'), copyDone),
      says('TDCZ', query('SELECT count(*) FROM c')),
      says('', copyDone, copyFail('late'), copyData('3\n')),
      says('TDCZ', query('SELECT 1')),
    ],
  },
  {
    name: '19: all of it in one write',
    steps: [
      says('GEZTDCZ', query(copy), copyData('x\n'), copyData('1\n'), copyDone, query('SELECT count(*) FROM c')),
      says('GEZTDCZGCZ', query(copy), copyData('x\n'), copyDone, query('SELECT 1'), query(copy), copyData('1\n'), copyDone),
    ],
  },
  {
    name: '19: COPY fails at once, and its data comes behind the error',
    steps: [
      says('EZTDCZ', query('COPY nowhere FROM STDIN'), copyData('1\n'), copyDone, query('SELECT 1')),
      says('EZ', query('COPY nowhere FROM STDIN')),
      says('', copyData('1\n'), copyDone),
      says('12EZ', parse('', 'COPY c FROM STDIN WITH (FORMAT text, DELIMITER $$ab$$)'), bind('', ''), execute(''), copyData('1\n'), copyDone, sync),
      says('Z', sync),
    ],
  },
  {
    name: '20: COPY by the extended protocol, its Sync before the data',
    steps: [
      says('12G', parse('', copy), bind('', ''), execute(''), sync),
      says('CZ', copyData('1\n'), copyDone, sync),
      says('12GCZ', parse('', copy), bind('', ''), execute(''), sync, copyData('2\n'), copyDone, sync),
      says('TDCZ', query('SELECT count(*) FROM c')),
    ],
  },
  {
    name: '20: COPY by the extended protocol without a Sync before the data',
    steps: [
      says('12G', parse('', copy), bind('', ''), execute(''), flush),
      says('', copyData('1\n'), flush, copyData('2\n')),
      says('CZ', copyDone, sync),
      says('12GC', parse('cp', copy), bind('', 'cp'), execute(''), copyData('2\n'), copyDone, flush),
      says('12DCZ', parse('', 'SELECT count(*) FROM c'), bind('', ''), execute(''), sync),
    ],
  },
  {
    name: '20: COPY by the extended protocol fails in its data',
    steps: [
      says('12G', parse('', copy), bind('', ''), execute(''), flush),
      says('E', copyData('x\n')),
      says('', copyData('1\n'), copyDone),
      says('Z', sync),
      says('12GEZ', parse('', copy), bind('', ''), execute(''), copyData('x\n'), copyDone, sync),
      says('TDCZ', query('SELECT count(*) FROM c')),
    ],
  },
  {
    name: '20: the same with Sync before the data: is the Sync in the data its own?',
    steps: [
      says('12G', parse('', copy), bind('', ''), execute(''), sync),
      says('E', copyData('x\n')),
      says('', copyDone),
      says('Z', sync),
      says('TDCZ', query('SELECT count(*) FROM c')),
    ],
  },
  {
    name: '20: the same in one write',
    steps: [
      says('12GEZ', parse('', copy), bind('', ''), execute(''), sync, copyData('x\n'), copyDone, sync),
      says('TDCZ', query('SELECT count(*) FROM c')),
    ],
  },
  {
    name: '20: CopyFail by the extended protocol',
    steps: [
      says('12GEZ', parse('', copy), bind('', ''), execute(''), copyData('1\n'), copyFail('no'), sync),
      says('12GEZ', parse('', copy), bind('', ''), execute(''), sync, copyFail('no'), sync),
      says('TDCZ', query('SELECT count(*) FROM c')),
    ],
  },
  {
    name: 'COPY: a Query amid the data of a simple query ends the connection',
    steps: [says('G', query(copy)), says('EE!', query('SELECT 1'))],
  },
  {
    name: 'COPY: a Parse amid the data of a simple query ends the connection',
    steps: [says('G', query(copy)), says('EE!', copyData('1\n'), parse('', 'SELECT 1'))],
  },
  {
    name: 'COPY: a Bind amid the data of the extended protocol ends the connection',
    steps: [says('12G', parse('', copy), bind('', ''), execute(''), flush), says('EE!', bind('', ''))],
  },
  {
    name: 'COPY: a FunctionCall amid the data ends the connection',
    steps: [says('G', query(copy)), says('EE!', functionCall(1397, '-3'))],
  },
  {
    name: 'COPY: Sync and Flush amid the data of a simple query',
    steps: [
      says('G', query(copy)),
      says('', sync, flush),
      says('CZ', copyData('1\n'), sync, copyDone),
      says('Z', sync),
    ],
  },
  {
    name: 'COPY: several statements in one query, one of them COPY',
    steps: [
      says('TDCG', query(`SELECT 1; ${copy}; SELECT 2; ${copy}; SELECT 3`)),
      says('CTDCG', copyData('1\n'), copyDone),
      says('CTDCZ', copyData('2\n'), copyDone),
      says('TDCGCTDCGCZ', query(`SELECT 1; ${copy}; SELECT 2; ${copy}`), copyData('1\n'), copyDone, copyData('2\n'), copyDone),
      says('TDCGEZ', query(`SELECT 1; ${copy}; SELECT 2; ${copy}`), copyData('x\n'), copyDone, copyData('2\n'), copyDone),
      says('TDCZ', query('SELECT count(*) FROM c')),
    ],
  },
  {
    name: 'COPY in a transaction block that fails',
    steps: [
      says('CZ', query('BEGIN')),
      says('GEZ', query(copy), copyData('x\n'), copyDone),
      says('EZ', query(copy), copyData('1\n'), copyDone),
      says('CZ', query('ROLLBACK')),
      says('TDCZ', query('SELECT count(*) FROM c')),
    ],
  },
  {
    name: 'COPY out by the extended protocol, and COPY TO beside other statements',
    steps: [
      says('12HddcCZ', parse('', 'COPY (SELECT 1 UNION ALL SELECT 2) TO STDOUT'), bind('', ''), execute(''), sync),
      says('12nHdcCZ', parse('', 'COPY (SELECT 1) TO STDOUT'), bind('', ''), describe('P', ''), execute('', 1), sync),
      says('EZ', query('COPY (SELECT 1 / 0) TO STDOUT')),
    ],
  },
];

/** Simple queries, FunctionCall, and messages nobody waits for. */
export const queryCases: readonly Dialogue[] = [
  { name: 'cheap: an empty query', steps: [says('IZ', query('')), says('IZ', query(' ; ; ')), says('IZ', query('-- x'))] },
  {
    name: 'cheap: FunctionCall',
    steps: [
      says('VZ', functionCall(1397, '-3')),
      says('VZVZ', functionCall(1397, '-3'), functionCall(1397, '-4')),
      says('VZ', functionCall(1397, null)),
      says('EZ', functionCall(1397, 'x')),
      says('EZ', functionCall(1)),
      says('CZ', query('BEGIN')),
      says('EZ', functionCall(1397, 'x')),
      says('EZ', functionCall(1397, '-1')),
      says('CZ', query('ROLLBACK')),
      says('1Z', parse('', 'SELECT 1'), sync),
      says('VZ', functionCall(1397, '-3')),
      says('2DCZ', bind('', ''), execute(''), sync),
      says('12', parse('', 'SELECT 1'), bind('', ''), flush),
      says('VZ', functionCall(1397, '-3')),
      says('EZ', execute(''), sync),
    ],
  },
  {
    name: 'cheap: several statements in one query, with a COMMIT amid them',
    steps: [
      says('CCCCCZ', query("BEGIN; INSERT INTO t VALUES (50, 'x'); COMMIT; BEGIN; ROLLBACK")),
      says('CCCEZ', query("BEGIN; INSERT INTO t VALUES (51, 'x'); COMMIT; SELECT 1 / 0")),
      says('CEZ', query("INSERT INTO t VALUES (52, 'x'); SELECT 1 / 0")),
      says('TDCCTDCZ', query('SELECT 1; BEGIN; SELECT 2')),
      says('CTDCZ', query('COMMIT; SELECT count(*) FROM t')),
      says('CZ', query('COMMIT')),
    ],
  },
  {
    name: 'cheap: CopyData, CopyDone and CopyFail when idle are ignored',
    steps: [says('', copyData('1\n'), copyDone, copyFail('x')), says('TDCZ', query('SELECT 1'))],
  },
  {
    name: 'cheap: the same within a segment',
    steps: [
      says('1', parse('', 'SELECT 1'), flush),
      says('', copyData('1\n'), copyDone, copyFail('x')),
      says('2DCZ', bind('', ''), copyData('1\n'), execute(''), copyDone, sync),
    ],
  },
  {
    name: 'cheap: a Query amid an extended segment',
    steps: [
      says('12TDCZ', parse('', 'SELECT 1'), bind('', ''), query('SELECT 2')),
      says('EZ', execute(''), sync),
      says('12DCTDCZ', parse('a', 'SELECT 1'), bind('', 'a'), execute(''), query('SELECT 2')),
      says('2DCZ', bind('', 'a'), execute(''), sync),
      says('1Z', parse('b', "INSERT INTO t VALUES (60, 'x')"), sync),
      says('2CEZ', bind('', 'b'), execute(''), query('SELECT 1 / 0')),
      says('TDCZ', query('SELECT count(*) FROM t')),
    ],
  },
  {
    name: 'notices, warnings and what a procedure commits',
    steps: [
      says('TDCZ', query('SELECT notices()')),
      says('CZ', query('CALL committing()')),
      says('12CZ', parse('', 'CALL committing()'), bind('', ''), execute(''), sync),
      says('CZ', query('BEGIN')),
      says('EZ', query('CALL committing()')),
      says('CZ', query('ROLLBACK')),
      says('TDCZ', query('SELECT count(*) FROM c')),
    ],
  },
  {
    name: 'a deferred constraint fails behind CommandComplete',
    steps: [
      says('EZ', query('INSERT INTO deferred VALUES (1), (1)')),
      says('CZ', query('BEGIN')),
      says('CZ', query('INSERT INTO deferred VALUES (1), (1)')),
      says('EZ', query('COMMIT')),
      says('12CEZ', parse('', 'INSERT INTO deferred VALUES (1), (1)'), bind('', ''), execute(''), sync),
      says(
        '12CEZ12DCZ',
        parse('', 'INSERT INTO deferred VALUES (1), (1)'), bind('', ''), execute(''), sync,
        parse('', 'SELECT 1'), bind('', ''), execute(''), sync,
      ),
    ],
  },
  {
    name: 'savepoints, and a block that failed',
    steps: [
      says('CZ', query('BEGIN')),
      says('CZ', query('SAVEPOINT s')),
      says('EZ', query('SELECT 1 / 0')),
      says('EZ', query('SELECT 1')),
      says('CZ', query('ROLLBACK TO s')),
      says('TDCZ', query('SELECT 1')),
      says('CZ', query('COMMIT AND CHAIN')),
      says('EZ', query('SELECT 1 / 0')),
      says('CZ', query('COMMIT')),
    ],
  },
  {
    name: '25: Query and Terminate in one write: it runs and is answered',
    steps: [says('TDCZ!', query('SELECT 1'), terminate)],
  },
  {
    name: '25: an extended segment and Terminate: nothing is answered',
    steps: [says('!', parse('', "INSERT INTO t VALUES (70, 'x')"), bind('', ''), execute(''), terminate)],
  },
  {
    name: '25: an INSERT and Terminate in one write commits',
    steps: [says('CZ!', query("INSERT INTO t VALUES (71, 'x')"), terminate)],
  },
  { name: '25: Terminate alone', steps: [says('!', terminate)] },
  {
    name: '25: Terminate amid COPY',
    steps: [says('G', query(copy)), says('EE!', copyData('1\n'), terminate)],
    differs: 'who said Terminate is told nothing more: the data are taken back',
  },
  {
    name: '23: a length below 4 ends the connection',
    steps: [says('TDCZ', query('SELECT 1')), says('!', Buffer.from([0x51, 0, 0, 0, 3]))],
  },
  {
    name: '23: a length below 4 behind a request',
    steps: [says('TDCZ!', query('SELECT 1'), Buffer.from([0x51, 0, 0, 0, 3]))],
  },
  { name: '23: a negative length', steps: [says('!', Buffer.from([0x51, 0xff, 0xff, 0xff, 0xff]))] },
  { name: '23: a Sync that says it is of 1 GB', steps: [says('!', Buffer.from([0x53, 0x3f, 0xff, 0xff, 0xff]))] },
  { name: '23: an unknown type', steps: [says('E!', msg('m', cstr('x')))] },
  { name: '23: an unknown type behind a request', steps: [says('TDCZE!', query('SELECT 1'), msg('\x01'))] },
  {
    name: '23: an unknown type in a transaction block',
    steps: [says('CZ', query('BEGIN')), says('E!', msg('m', cstr('x')))],
  },
  {
    name: '23: an unknown type in a segment that waits for Sync',
    steps: [says('1E!', parse('a', 'SELECT 1'), msg('m', cstr('x')))],
  },
  {
    name: '23: a password message when none is asked for',
    steps: [says('E!', msg('p', cstr('x')))],
  },
  {
    name: '23: names that are long',
    steps: [
      says('1Z', parse('n'.repeat(16_384), 'SELECT 1'), sync),
      says('2DCZ', bind('', 'n'.repeat(16_384)), execute(''), sync),
      says('EZ', parse('n'.repeat(16_384), 'SELECT 1'), sync),
      says('EZ', bind('', 'u'.repeat(100_000), 'w'.repeat(100_000)), sync),
      says('2Z', bind('p'.repeat(100_000), 'n'.repeat(16_384)), sync),
      says('1tTZ', parse('m'.repeat(9_900), 'SELECT 2'), describe('S', 'm'.repeat(9_900)), sync),
      says('!', describe('S', 'n'.repeat(16_384)), sync),
    ],
  },
  {
    name: '23: texts and values that are long',
    steps: [
      says('12DCZ', parse('a', `SELECT '${'x'.repeat(40_000)}'`), bind('', 'a'), execute(''), sync),
      says('12DCZ', parse('', `SELECT '${'y'.repeat(200_000)}'`), bind('', ''), execute(''), sync),
      says('TDCZ', query(`SELECT '${'z'.repeat(1_000_000)}'`)),
      says('12DCZ', parse('v', 'SELECT length($1)'), bind('', 'v', 'w'.repeat(3_000_000)), execute(''), sync),
      says('2DCZ', bind('', 'v', 'w'.repeat(3_000_000)), execute(''), sync),
      says('VZ', functionCall(1317, 'w'.repeat(300_000))),
      says('TDCZ', query("SELECT repeat('x', 5000000)")),
      says('GCZ', query(copy), copyData('1\n'.repeat(100_000)), copyDone),
      says('EZ', bind('', 'v', 'w'.repeat(300_000), 'w'.repeat(300_000)), sync),
      says('TDCZ', query('SELECT count(*) FROM c')),
    ],
  },
  {
    name: 'binary formats',
    steps: [
      says(
        '12TDCZ',
        parse('', 'SELECT $1::int4, $2::bytea', 23, 17),
        msg('B', cstr(''), cstr(''), int16(1), int16(1), int16(2), int32(4), int32(7), int32(3), Buffer.from([0, 1, 2]), int16(1), int16(1)),
        describe('P', ''), execute(''), sync,
      ),
    ],
  },
];
