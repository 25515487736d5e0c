import {
  bind, close, cstr, describe, execute, flush, int16, int32, msg, parse, query, sync, terminate,
} from '../../support/bytes.ts';
import { says, saysByteByByte, type Dialogue } from './dialogue.ts';

const five = 'SELECT n FROM generate_series(1, 5) AS n';
const one = (text: string): Buffer => Buffer.concat([parse('', text), bind('', ''), execute(''), sync]);

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
        parse('', five), bind('p', ''), bind('q', ''), execute('p', 2), execute('q', 3), execute('p', 2), flush,
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
      says('12DCZ', parse('a', 'SELECT 2'), bind('', 'a'), execute(''), sync),
      says('2DCZ', bind('', ''), execute(''), sync),
      says('EZ', bind('', 'unknown'), sync),
      says('2DCZ', bind('', ''), execute(''), sync),
      says('3Z', close('S', ''), sync),
      says('EZ', bind('', ''), execute(''), sync),
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
      says('2DCZ', bind('', ''), execute(''), sync),
    ],
  },
  {
    name: '7: a Close that is skipped leaves the unnamed statement as it was',
    steps: [
      says('1Z', parse('', 'SELECT 1'), sync),
      says('EZ', bind('', 'unknown'), close('S', ''), sync),
      says('2DCZ', bind('', ''), execute(''), sync),
    ],
  },
  {
    name: '7: the unnamed statement outlives DEALLOCATE ALL',
    steps: [
      says('1Z', parse('', 'SELECT 1'), sync),
      says('12CZ', parse('d', 'DEALLOCATE ALL'), bind('', 'd'), execute(''), sync),
      says('2DCZ', bind('', ''), execute(''), sync),
      says('EZ', bind('', 'd'), execute(''), sync),
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
        '12DCZ' + '12CZ' + '1EZ' + 'EZ' + 'EZ' + '12CZ' + '12DCZ',
        one('SELECT 1'), one('BEGIN'), one('SELECT 1 / 0'), one('SELECT 2'), one('SELECT 3'), one('ROLLBACK'), one('SELECT 4'),
      ),
    ],
  },
  {
    name: '8: queries and Syncs in one write',
    steps: [
      says(
        'TDCZ' + '12DCZ' + 'Z' + 'EZ' + 'Z' + 'VZ' + 'TDCZ',
        query('SELECT 1'), one('SELECT 2'), sync, query('broken'), sync,
        msg('F', int32(89), int16(0), int16(0), int16(0)), query('SELECT 5'),
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
    steps: [
      says(
        '12DCEZ',
        parse('', 'SELECT 1'), bind('', ''), execute(''), parse('', 'SELEC 2'), bind('', ''), execute(''),
        parse('', 'SELECT 3'), bind('', ''), execute(''), sync,
      ),
      says('TDCZ', query('SELECT 4')),
    ],
  },
  {
    name: '10: the same with a Sync that comes late',
    steps: [
      says(
        '12DCE',
        parse('', 'SELECT 1'), bind('', ''), execute(''), parse('', 'SELEC 2'), bind('', ''), execute(''), flush,
      ),
      says('', parse('', 'SELECT 3'), bind('', ''), execute(''), describe('S', ''), close('S', 'a')),
      says('Z', sync),
      says('Z', sync),
    ],
  },
  {
    name: '10: named statements in a segment that fails are as if never parsed',
    steps: [
      says('1EZ', parse('before', 'SELECT 1'), parse('bad', 'SELEC'), parse('behind', 'SELECT 2'), sync),
      says('2DCZ', bind('', 'before'), execute(''), sync),
      says('EZ', bind('', 'bad'), execute(''), sync),
      says('EZ', bind('', 'behind'), execute(''), sync),
      says('12DCZ', parse('behind', 'SELECT 3'), bind('', 'behind'), execute(''), sync),
    ],
  },
  {
    name: '10: an implicit transaction of several statements is rolled back as a whole',
    steps: [
      says(
        '12C1EZ',
        parse('', "INSERT INTO t VALUES (100, 'x')"), bind('', ''), execute(''), parse('', 'SELECT 1 / 0'), bind('', ''),
        execute(''), sync,
      ),
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

/** Named statements: failed, duplicate and unknown names, names beside portals (cases 12, 14, 24). */
export const nameCases: readonly Dialogue[] = [
  {
    name: '12: a named Parse that fails leaves no trace',
    steps: [
      says('EZ', parse('a', 'SELECT * FROM missing'), sync),
      says('CZ', query('CREATE TABLE missing (id int)')),
      says('12CZ', parse('a', 'SELECT * FROM missing'), bind('', 'a'), execute(''), sync),
      says('CZ', query('DROP TABLE missing')),
    ],
  },
  {
    name: '12: a named Parse that fails, then another in the same write',
    steps: [
      says(
        'EZ1Z2DCZ',
        parse('a', 'SELECT * FROM missing'), sync, parse('a', 'SELECT 1'), sync, bind('', 'a'), execute(''), sync,
      ),
    ],
  },
  {
    name: '12: a Parse that fails destroys the old unnamed statement',
    steps: [
      says('1Z', parse('', 'SELECT 1'), sync),
      says('EZ', parse('', 'SELEC'), sync),
      says('EZ', bind('', ''), execute(''), sync),
    ],
  },
  {
    name: '14: the same name twice in one segment',
    steps: [
      says('1EZ', parse('a', 'SELECT 1'), parse('a', 'SELECT 2'), sync),
      says('2DCZ', bind('', 'a'), execute(''), sync),
    ],
  },
  {
    name: '14: the same name twice in two segments',
    steps: [
      says('1Z', parse('a', 'SELECT 1'), sync),
      says('EZ', parse('a', 'SELECT 2'), sync),
      says('EZ', parse('a', 'SELECT 1'), sync),
      says('2DCZ', bind('', 'a'), execute(''), sync),
      says('EZEZ', parse('a', 'SELECT 1'), sync, parse('a', 'SELEC'), sync),
    ],
  },
  {
    name: '14: Bind and Describe of unknown names, Close of unknown names',
    steps: [
      says('EZ', bind('', 'nobody'), sync),
      says('EZ', describe('S', 'nobody'), sync),
      says('EZ', describe('P', 'nobody'), sync),
      says('EZ', execute('nobody'), sync),
      says('33Z', close('S', 'nobody'), close('P', 'nobody'), sync),
      says('EZ', bind('', ''), sync),
      says('EZ', describe('S', ''), sync),
      says('EZ', describe('P', ''), sync),
      says('EZ', execute(''), sync),
      says('33Z', close('S', ''), close('P', ''), sync),
    ],
  },
  {
    name: '14: the same in a transaction block',
    steps: [
      says('CZ', query('BEGIN')),
      says('EZ', bind('', 'nobody'), sync),
      says('EZ', bind('', 'nobody'), sync),
      says('EZ', describe('S', 'nobody'), sync),
      says('3Z', close('S', 'nobody'), sync),
      says('EZ', parse('', 'SELECT 1'), sync),
      says('12CZ', parse('', 'ROLLBACK'), bind('', ''), execute(''), sync),
    ],
  },
  {
    name: '14: Close frees a name, in the same segment too',
    steps: [
      says('12DCZ', parse('a', 'SELECT 1'), bind('', 'a'), execute(''), sync),
      says('312DCZ', close('S', 'a'), parse('a', 'SELECT 2'), bind('', 'a'), execute(''), sync),
      says('3Z', close('S', 'a'), sync),
      says('EZ', bind('', 'a'), execute(''), sync),
      says('1313EZ', parse('a', 'SELECT 3'), close('S', 'a'), parse('a', 'SELECT 4'), close('S', 'a'), bind('', 'a'), sync),
    ],
  },
  {
    name: '14: a Close that is skipped frees nothing',
    steps: [
      says('1Z', parse('a', 'SELECT 1'), sync),
      says('EZ', execute('nobody'), close('S', 'a'), parse('a', 'SELECT 2'), sync),
      says('2DCZ', bind('', 'a'), execute(''), sync),
      says('3EZ', close('S', 'a'), parse('a', 'SELEC'), sync),
      says('EZ', bind('', 'a'), execute(''), sync),
    ],
  },
  {
    name: '14: Close and Parse anew, of which only the Close is run',
    steps: [
      says('1Z', parse('a', 'SELECT 1'), sync),
      says('3EZ', close('S', 'a'), execute('nobody'), parse('a', 'SELECT 2'), sync),
      says('EZ', bind('', 'a'), execute(''), sync),
    ],
  },
  {
    name: '14: a statement outlives the rollback of its block, and so does its Close',
    steps: [
      says('CZ', query('BEGIN')),
      says('1Z', parse('a', 'SELECT 1'), sync),
      says('CZ', query('ROLLBACK')),
      says('2DCZ', bind('', 'a'), execute(''), sync),
      says('CZ', query('BEGIN')),
      says('3Z', close('S', 'a'), sync),
      says('CZ', query('ROLLBACK')),
      says('EZ', bind('', 'a'), execute(''), sync),
    ],
  },
  {
    name: '14: one text under two names and another type list',
    steps: [
      says('11Z', parse('a', 'SELECT $1', 23), parse('b', 'SELECT $1', 25), sync),
      says('tTtTZ', describe('S', 'a'), describe('S', 'b'), sync),
      says('2DC2DCZ', bind('', 'a', '1'), execute(''), bind('', 'b', 'x'), execute(''), sync),
      says('3Z', close('S', 'a'), sync),
      says('2DCZ', bind('', 'b', 'x'), execute(''), sync),
      says('EZ', bind('', 'a', '1'), sync),
    ],
  },
  {
    name: '14: a name with what SQL would have to quote',
    steps: [says('12DCZ', parse('"; DROP', 'SELECT 1'), bind('', '"; DROP'), execute(''), sync)],
  },
  {
    name: '14: a name that is not in the client encoding',
    differs: 'names are renamed as bytes, whatever the encoding: one that PostgreSQL refuses is good for pgmirror',
    steps: [
      says(
        'EZ',
        msg('P', Buffer.from([0xff, 0xfe, 0]), cstr('SELECT 2'), int16(0)),
        msg('B', cstr(''), Buffer.from([0xff, 0xfe, 0]), int16(0), int16(0), int16(0)),
        execute(''),
        sync,
      ),
    ],
  },
  {
    name: '24: a named portal of a named statement',
    steps: [
      says('1Z', parse('a', five), sync),
      says('2TDDsDDDCZ', bind('p1', 'a'), describe('P', 'p1'), execute('p1', 2), execute('p1'), sync),
      says('2DsE', bind('a', 'a'), execute('a', 1), bind('a', 'a'), flush),
      says('Z', sync),
      says('23EZ', bind('a', 'a'), close('P', 'a'), execute('a'), sync),
      says('2DDDDDCZ', bind('', 'a'), execute(''), sync),
    ],
  },
  {
    name: '24: a portal with a long name, and values behind the names',
    steps: [
      says('1Z', parse('statement', 'SELECT $1::text, $2::text'), sync),
      says('2DCZ', bind('p'.repeat(63), 'statement', 'x', null), execute('p'.repeat(63)), sync),
      says('2DCZ', bind('p'.repeat(300), 'statement', 'x'.repeat(300), ''), execute('p'.repeat(300)), sync),
    ],
  },
  {
    name: 'cheap: Describe of an empty statement, and its Execute',
    steps: [
      says('1tnZ', parse('', ''), describe('S', ''), sync),
      says('2nIZ', bind('', ''), describe('P', ''), execute(''), sync),
      says('12IZ', parse('e', ' -- nothing\n'), bind('', 'e'), execute(''), sync),
      says('tnZ', describe('S', 'e'), sync),
    ],
  },
  {
    name: 'cheap: Sync alone, Flush alone',
    steps: [says('Z', sync), says('ZZZ', sync, sync, sync), says('', flush), says('', flush, flush), says('TDCZ', query('SELECT 1'))],
  },
  {
    name: 'cheap: several texts in one Parse',
    steps: [says('EZ', parse('', 'SELECT 1; SELECT 2'), sync), says('EZ', parse('m', 'SELECT 1; SELECT 2'), sync), says('Z', sync)],
  },
  {
    name: 'cheap: too few and too many values',
    steps: [
      says('1Z', parse('a', 'SELECT $1::int'), sync),
      says('EZ', bind('', 'a'), execute(''), sync),
      says('EZ', bind('', 'a', '1', '2'), execute(''), sync),
      says('EZ', bind('', 'a', 'x'), execute(''), sync),
      says('2DCZ', bind('', 'a', '1'), execute(''), sync),
      says('1EZ', parse('', 'SELECT $1::int'), bind('', '', 'x'), execute(''), sync),
    ],
  },
  {
    name: 'cheap: messages whose inside is not what they say',
    steps: [
      says('EZ', msg('B', cstr('')), sync),
      says('EZ', msg('B', Buffer.from('ab')), sync),
      says('EZ', msg('P', Buffer.from('ab')), sync),
      says('EZ', msg('P', cstr('a'), Buffer.from('SELECT 1')), sync),
      says('EZ', msg('P', cstr('a'), cstr('SELECT 1')), sync),
      says('EZ', msg('P', cstr('a'), cstr('SELECT 1'), int16(3)), sync),
      says('EZ', msg('P', cstr('a'), cstr('SELECT 1'), int16(0), cstr('more')), sync),
      says('EZ', bind('', 'a'), sync),
      says('EZ', msg('D'), sync),
      says('EZ', msg('D', Buffer.from('X'), cstr('')), sync),
      says('EZ', msg('D', Buffer.from('S')), sync),
      says('EZ', msg('D', Buffer.from('Sabc')), sync),
      says('EZ', msg('C', Buffer.from('X'), cstr('')), sync),
      says('EZ', msg('C', Buffer.from('Sabc')), sync),
      says('EZ', msg('E', cstr('')), sync),
      says('EZ', msg('E', cstr(''), int32(0), int32(0)), sync),
      says('EZ', msg('Q', Buffer.from('SELECT 1'))),
      says('EZ', msg('Q', cstr('SELECT 1'), cstr('SELECT 2'))),
      says('EZ', msg('Q')),
      says('TDCZ', query('SELECT 1')),
    ],
  },
  {
    name: 'cheap: Sync and Flush with a body',
    steps: [says('EZ', msg('S', cstr('x'))), says('TDCZ', query('SELECT 1'))],
  },
  {
    name: '23: one byte in each write',
    steps: [
      saysByteByByte('12TDCZ', parse('a', 'SELECT $1'), bind('p', 'a', 'x'), describe('P', 'p'), execute('p'), sync),
      saysByteByByte('TDCZ', query('SELECT 1')),
      saysByteByByte('2DCZ', bind('', 'a', 'x'), execute(''), sync),
    ],
  },
];
