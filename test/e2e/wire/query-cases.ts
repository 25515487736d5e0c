import {
  bind,
  cstr,
  describe,
  execute,
  flush,
  int16,
  int32,
  msg,
  parse,
  query,
  sync,
  terminate,
} from '../../support/bytes.ts';
import { copyData, copyDone, copyFail, functionCall } from './copy-messages.ts';
import { once, run, says, type Dialogue } from './dialogue.ts';

const copy = 'COPY c FROM STDIN';

/** Simple queries, FunctionCall, and messages nobody waits for. */
export const queryCases: readonly Dialogue[] = [
  {
    name: 'cheap: an empty query',
    steps: [says('IZ', query('')), says('IZ', query(' ; ; ')), says('IZ', query('-- x'))],
  },
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
      says('2DCZ', run(''), sync),
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
      says('12DCTDCZ', parse('a', 'SELECT 1'), run('a'), query('SELECT 2')),
      says('2DCZ', run('a'), sync),
      says('1Z', parse('b', "INSERT INTO t VALUES (60, 'x')"), sync),
      says('2CEZ', run('b'), query('SELECT 1 / 0')),
      says('TDCZ', query('SELECT count(*) FROM t')),
    ],
  },
  {
    name: 'notices, warnings and what a procedure commits',
    steps: [
      says('TDCZ', query('SELECT notices()')),
      says('CZ', query('CALL committing()')),
      says('12CZ', once('CALL committing()'), sync),
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
      says('12CEZ', once('INSERT INTO deferred VALUES (1), (1)'), sync),
      says('12CEZ12DCZ', once('INSERT INTO deferred VALUES (1), (1)'), sync, once('SELECT 1'), sync),
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
    steps: [says('!', once("INSERT INTO t VALUES (70, 'x')"), terminate)],
  },
  {
    name: '25: an INSERT and Terminate in one write commits',
    steps: [says('CZ!', query("INSERT INTO t VALUES (71, 'x')"), terminate)],
  },
  {
    name: '25: Terminate behind a Bind that fails, without Sync: the error is told',
    steps: [says('1E!', parse('', 'SELECT 1'), bind('', 'nowhere'), execute(''), terminate)],
  },
  {
    name: '25: Terminate behind an Execute that fails, without Sync: the error is told with what came before it',
    steps: [says('12C12E!', once("INSERT INTO t VALUES (72, 'x')"), once('SELECT id / 0 FROM t'), terminate)],
  },
  {
    name: '25: the same in a transaction block',
    steps: [says('CZ', query('BEGIN')), says('1E!', parse('a', 'SELECT 1'), parse('', 'SELEC'), terminate)],
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
      says('12DCZ', parse('a', `SELECT '${'x'.repeat(40_000)}'`), run('a'), sync),
      says('12DCZ', parse('', `SELECT '${'y'.repeat(200_000)}'`), run(''), sync),
      says('TDCZ', query(`SELECT '${'z'.repeat(1_000_000)}'`)),
      says('12DCZ', parse('v', 'SELECT length($1)'), bind('', 'v', 'w'.repeat(3_000_000)), execute(''), sync),
      says('2DCZ', bind('', 'v', 'w'.repeat(3_000_000)), execute(''), sync),
      says('VZ', functionCall(1317, 'w'.repeat(300_000))),
      says('VZ', functionCall(1622, 'w'.repeat(100), '3000')),
      says('CZ', query(`DO $$ BEGIN RAISE NOTICE '%', repeat('n', 300000); END $$`)),
      says('EZ', query("SELECT repeat('e', 300000)::int")),
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
        msg(
          'B',
          cstr(''),
          cstr(''),
          int16(1),
          int16(1),
          int16(2),
          int32(4),
          int32(7),
          int32(3),
          Buffer.from([0, 1, 2]),
          int16(1),
          int16(1),
        ),
        describe('P', ''),
        execute(''),
        sync,
      ),
    ],
  },
];
