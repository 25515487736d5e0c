import {
  bind,
  close,
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
import { once, run, says, type Dialogue } from './dialogue.ts';

const five = 'SELECT n FROM generate_series(1, 5) AS n';
const one = (text: string): Buffer => Buffer.concat([once(text), sync]);

/** Portals and the unnamed statement over Flush; many Syncs; errors and what is skipped behind them (cases 6 to 11). */
export const pipelineCases: readonly Dialogue[] = [
  {
    name: '6: a portal pages on over Flush',
    steps: [
      says('12TDDs', parse('', five), bind('C_1', ''), describe('P', 'C_1'), execute('C_1', 2), flush),
      says('DDs', execute('C_1', 2), flush),
      says('3Z', close('P', 'C_1'), sync),
    ],
  },
  {
    name: '6: a portal described and flushed before the first Execute pages on one connection',
    steps: [
      says('12T', parse('', five), bind('C_1', ''), describe('P', 'C_1'), flush),
      says('DDs', execute('C_1', 2), flush),
      says('DDs', execute('C_1', 2), flush),
      says('DC', execute('C_1', 2), flush),
      says('C', execute('C_1', 2), flush),
      says('Z', sync),
    ],
  },
  {
    name: '6: a portal is gone after Sync',
    steps: [
      says('12DDsZ', parse('', five), bind('C_1', ''), execute('C_1', 2), sync),
      says('EZ', execute('C_1', 2), sync),
      says('EZ', describe('P', 'C_1'), sync),
      says('3Z', close('P', 'C_1'), sync),
    ],
  },
  {
    name: '6: a portal in a transaction block outlives Sync, and ends with the block',
    steps: [
      says('CZ', query('BEGIN')),
      says('12DDsZ', parse('', five), bind('C_1', ''), execute('C_1', 2), sync),
      says('DDsZ', execute('C_1', 2), sync),
      says('TDsZ', describe('P', 'C_1'), execute('C_1', 1), sync),
      says('CZ', query('COMMIT')),
      says('EZ', execute('C_1', 2), sync),
    ],
  },
  {
    name: '6: two portals of one statement side by side',
    steps: [
      says(
        '122DDsDDDsDDs',
        parse('', five),
        bind('p', ''),
        bind('q', ''),
        execute('p', 2),
        execute('q', 3),
        execute('p', 2),
        flush,
      ),
      says('DDCZ', execute('q'), sync),
    ],
  },
  {
    name: '6: SQL CLOSE of a portal made by Bind, FETCH from it by name',
    steps: [
      says('CZ', query('BEGIN')),
      says('12DsZ', parse('', five), bind('cur', ''), execute('cur', 1), sync),
      says('TDDCZ', query('FETCH 2 FROM cur')),
      says('CZ', query('CLOSE cur')),
      says('EZ', execute('cur'), sync),
      says('CZ', query('ROLLBACK')),
    ],
  },
  {
    name: '7: Parse, Describe, Flush, then Bind, Execute, Sync',
    steps: [
      says('1tT', parse('', 'SELECT $1::int + 1'), describe('S', ''), flush),
      says('2DCZ', bind('', '', '41'), execute(''), sync),
    ],
  },
  {
    name: '7: Parse, Describe, Sync, then Bind, Execute, Sync use the unnamed statement still',
    steps: [
      says('1tTZ', parse('', 'SELECT $1::int + 1'), describe('S', ''), sync),
      says('2DCZ', bind('', '', '41'), execute(''), sync),
      says('2DCZ', bind('', '', '1'), execute(''), sync),
      says('tTZ', describe('S', ''), sync),
      says('TDCZ', query('SELECT 1')),
      says('EZ', bind('', '', '41'), execute(''), sync),
      says('EZ', describe('S', ''), sync),
    ],
  },
  {
    name: '7: the unnamed statement survives a statement with a name, and errors',
    steps: [
      says('1Z', parse('', 'SELECT 1'), sync),
      says('12DCZ', parse('a', 'SELECT 2'), run('a'), sync),
      says('2DCZ', run(''), sync),
      says('EZ', bind('', 'unknown'), sync),
      says('2DCZ', run(''), sync),
      says('3Z', close('S', ''), sync),
      says('EZ', run(''), sync),
    ],
  },
  {
    name: '7: the unnamed statement survives an error when it runs',
    steps: [
      says('1Z', parse('', 'SELECT 1 / $1::int'), sync),
      says('EZ', bind('', '', '0'), execute(''), sync),
      says('2DCZ', bind('', '', '1'), execute(''), sync),
    ],
  },
  {
    name: '7: a Parse that is skipped leaves the unnamed statement as it was',
    steps: [
      says('1Z', parse('', 'SELECT 1'), sync),
      says('EZ', bind('', 'unknown'), parse('', 'SELECT 2'), sync),
      says('2DCZ', run(''), sync),
    ],
  },
  {
    name: '7: a Close that is skipped leaves the unnamed statement as it was',
    steps: [
      says('1Z', parse('', 'SELECT 1'), sync),
      says('EZ', bind('', 'unknown'), close('S', ''), sync),
      says('2DCZ', run(''), sync),
    ],
  },
  {
    name: '7: the unnamed statement outlives DEALLOCATE ALL',
    steps: [
      says('1Z', parse('', 'SELECT 1'), sync),
      says('12CZ', parse('d', 'DEALLOCATE ALL'), run('d'), sync),
      says('2DCZ', run(''), sync),
      says('EZ', run('d'), sync),
    ],
  },
  {
    name: '8: twenty Syncs in one write',
    steps: [says('12DCZ'.repeat(20), ...Array.from({ length: 20 }, (_, n) => one(`SELECT ${n}`)))],
  },
  {
    name: '8: twenty Syncs in one write, with errors and blocks in between',
    steps: [
      says(
        '12DCZ12CZ1EZEZEZ12CZ12DCZ',
        one('SELECT 1'),
        one('BEGIN'),
        one('SELECT 1 / 0'),
        one('SELECT 2'),
        one('SELECT 3'),
        one('ROLLBACK'),
        one('SELECT 4'),
      ),
    ],
  },
  {
    name: '8: queries and Syncs in one write',
    steps: [
      says(
        'TDCZ12DCZZEZZVZTDCZ',
        query('SELECT 1'),
        one('SELECT 2'),
        sync,
        query('broken'),
        sync,
        msg('F', int32(89), int16(0), int16(0), int16(0)),
        query('SELECT 5'),
      ),
    ],
  },
  {
    name: '9: three bytes of the next request come behind the last Sync',
    steps: [
      { send: [Buffer.concat([one('SELECT 1'), query('SELECT 2').subarray(0, 3)])], answer: '12DCZ' },
      { send: [query('SELECT 2').subarray(3)], answer: 'TDCZ' },
    ],
  },
  {
    name: '9: a Parse and half a Bind come behind the last Sync',
    steps: [
      {
        send: [Buffer.concat([one('SELECT 1'), parse('', 'SELECT $1'), bind('', '', 'x').subarray(0, 8)])],
        answer: '12DCZ',
      },
      { send: [bind('', '', 'x').subarray(8), Buffer.concat([execute(''), sync])], answer: '12DCZ' },
    ],
  },
  {
    name: '10: an error in the middle, and what follows it is skipped up to Sync',
    steps: [says('12DCEZ', once('SELECT 1'), once('SELEC 2'), once('SELECT 3'), sync), says('TDCZ', query('SELECT 4'))],
  },
  {
    name: '10: the same with a Sync that comes late',
    steps: [
      says('12DCE', once('SELECT 1'), once('SELEC 2'), flush),
      says('', once('SELECT 3'), describe('S', ''), close('S', 'a')),
      says('Z', sync),
      says('Z', sync),
    ],
  },
  {
    name: '10: named statements in a segment that fails are as if never parsed',
    steps: [
      says('1EZ', parse('before', 'SELECT 1'), parse('bad', 'SELEC'), parse('behind', 'SELECT 2'), sync),
      says('2DCZ', run('before'), sync),
      says('EZ', run('bad'), sync),
      says('EZ', run('behind'), sync),
      says('12DCZ', parse('behind', 'SELECT 3'), run('behind'), sync),
    ],
  },
  {
    name: '10: an implicit transaction of several statements is rolled back as a whole',
    steps: [
      says('12C1EZ', once("INSERT INTO t VALUES (100, 'x')"), once('SELECT 1 / 0'), sync),
      says('TDCZ', query('SELECT count(*) FROM t')),
    ],
  },
  {
    name: '11: an error without Sync is told at once, and even Query is swallowed until Sync',
    steps: [
      says('E', parse('', 'SELEC')),
      says('', parse('', 'SELECT 1'), flush),
      says('', query('SELECT 1')),
      says('', query('BEGIN'), query("SET application_name = 'x'")),
      says('', msg('F', int32(89), int16(0), int16(0), int16(0))),
      says('Z', sync),
      says('TDCZ', query('SELECT current_setting($$application_name$$)')),
    ],
  },
  {
    name: '11: the same inside a transaction block',
    steps: [
      says('CZ', query('BEGIN')),
      says('E', parse('', 'SELEC')),
      says('', query('ROLLBACK')),
      says('Z', sync),
      says('CZ', query('ROLLBACK')),
    ],
  },
  {
    name: '11: Terminate in what is skipped ends the connection',
    steps: [says('E', parse('', 'SELEC')), says('!', query('SELECT 1'), terminate)],
  },
];
