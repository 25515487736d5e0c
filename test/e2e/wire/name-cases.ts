import {
  bind,
  close,
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
} from '../../support/bytes.ts';
import { once, run, says, saysByteByByte, type Dialogue } from './dialogue.ts';

const five = 'SELECT n FROM generate_series(1, 5) AS n';

const one = 'SELECT 1';
const number = 'SELECT $1::int';

/** The longest name that PostgreSQL knows. */
const longest = 'n'.repeat(63);

/** Named statements: failed, duplicate and unknown names, names beside portals (cases 12, 14, 24). */
export const nameCases: readonly Dialogue[] = [
  {
    name: '13: a statement that made room for another is there again in the same pipeline',
    steps: [
      says(
        '12DCEZ12C2DCZ',
        ...[parse('b', 'SELECT 1'), run('b'), parse('a', 'SELEC'), run('a'), sync],
        ...[parse('a', "SET application_name = 'x'"), run('a'), run('b'), sync],
      ),
    ],
  },
  {
    name: '10: an error does not undo the unnamed statement of a later segment',
    steps: [
      says(
        '12EZ12DC2EZ',
        ...[parse('b', 'RELEASE s'), run('b'), parse('', number), bind('', '', '1'), execute(''), sync],
        ...[parse('', number), bind('', '', '1'), execute(''), bind('', 'b'), run('')],
        ...[parse('', 'SELECT 1'), sync],
      ),
    ],
  },
  {
    name: '10: an unnamed statement that was skipped is not there for the next segment',
    steps: [
      says('EZEZ', bind('', 'nobody'), parse('', 'SELECT 2'), sync, run(''), sync),
      says('EZ1Z2DCZ', parse('', 'SELEC'), sync, parse('', 'SELECT 3'), sync, run(''), sync),
    ],
  },
  {
    name: '10: a Query on its way destroys the unnamed statement, wherever that is brought back',
    steps: [
      says('1Z', parse('', "SET statement_timeout = '7s'"), sync),
      says('2CZ', run(''), sync),
      says('EZEZ', query('DEALLOCATE nothing'), run(''), sync),
    ],
  },
  {
    name: '14: an error names the statement that its message named',
    steps: [
      says('112DCEZ', parse('b', one), parse('a', one), run('a'), parse('a', 'SELECT 2'), sync),
      says('1EZ', parse('c', number), bind('', 'c'), sync),
      says('1EZ', parse('d', number), bind('', 'd'), describe('S', 'd'), sync),
      says('CZ', query('DISCARD ALL')),
      says('12CEZ', parse('a', 'DISCARD ALL'), bind('p', 'a'), execute('p'), bind('q', 'a'), execute('q'), sync),
      says('12C12CEZ', ...[parse('a', 'BEGIN'), run('a'), once('DEALLOCATE ALL')], ...[run('a'), sync]),
      says('CZ', query('ROLLBACK')),
    ],
  },
  {
    name: '12: a named Parse that fails leaves no trace',
    steps: [
      says('EZ', parse('a', 'SELECT * FROM missing'), sync),
      says('CZ', query('CREATE TABLE missing (id int)')),
      says('12CZ', parse('a', 'SELECT * FROM missing'), run('a'), sync),
      says('CZ', query('DROP TABLE missing')),
    ],
  },
  {
    name: '12: a named Parse that fails, then another in the same write',
    steps: [says('EZ1Z2DCZ', parse('a', 'SELECT * FROM missing'), sync, parse('a', 'SELECT 1'), sync, run('a'), sync)],
  },
  {
    name: '12: a Parse that fails destroys the old unnamed statement',
    steps: [says('1Z', parse('', 'SELECT 1'), sync), says('EZ', parse('', 'SELEC'), sync), says('EZ', run(''), sync)],
  },
  {
    name: '14: the same name twice in one segment',
    steps: [says('1EZ', parse('a', 'SELECT 1'), parse('a', 'SELECT 2'), sync), says('2DCZ', run('a'), sync)],
  },
  {
    name: '14: the same name twice in two segments',
    steps: [
      says('1Z', parse('a', 'SELECT 1'), sync),
      says('EZ', parse('a', 'SELECT 2'), sync),
      says('EZ', parse('a', 'SELECT 1'), sync),
      says('2DCZ', run('a'), sync),
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
      says('12CZ', once('ROLLBACK'), sync),
    ],
  },
  {
    name: '14: Close frees a name, in the same segment too',
    steps: [
      says('12DCZ', parse('a', 'SELECT 1'), run('a'), sync),
      says('312DCZ', close('S', 'a'), parse('a', 'SELECT 2'), run('a'), sync),
      says('3Z', close('S', 'a'), sync),
      says('EZ', run('a'), sync),
      says(
        '1313EZ',
        parse('a', 'SELECT 3'),
        close('S', 'a'),
        parse('a', 'SELECT 4'),
        close('S', 'a'),
        bind('', 'a'),
        sync,
      ),
    ],
  },
  {
    name: '14: a Close that is skipped frees nothing',
    steps: [
      says('1Z', parse('a', 'SELECT 1'), sync),
      says('EZ', execute('nobody'), close('S', 'a'), parse('a', 'SELECT 2'), sync),
      says('2DCZ', run('a'), sync),
      says('3EZ', close('S', 'a'), parse('a', 'SELEC'), sync),
      says('EZ', run('a'), sync),
    ],
  },
  {
    name: '14: Close and Parse anew, of which only the Close is run',
    steps: [
      says('1Z', parse('a', 'SELECT 1'), sync),
      says('3EZ', close('S', 'a'), execute('nobody'), parse('a', 'SELECT 2'), sync),
      says('EZ', run('a'), sync),
    ],
  },
  {
    name: '14: a statement outlives the rollback of its block, and so does its Close',
    steps: [
      says('CZ', query('BEGIN')),
      says('1Z', parse('a', 'SELECT 1'), sync),
      says('CZ', query('ROLLBACK')),
      says('2DCZ', run('a'), sync),
      says('CZ', query('BEGIN')),
      says('3Z', close('S', 'a'), sync),
      says('CZ', query('ROLLBACK')),
      says('EZ', run('a'), sync),
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
    steps: [says('12DCZ', parse('"; DROP', 'SELECT 1'), run('"; DROP'), sync)],
  },
  {
    name: '14: a name that is not in the client encoding',
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
      says('2DDDDDCZ', run('a'), sync),
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
      says('12IZ', parse('e', ' -- nothing\n'), run('e'), sync),
      says('tnZ', describe('S', 'e'), sync),
    ],
  },
  {
    name: 'cheap: Sync alone, Flush alone',
    steps: [
      says('Z', sync),
      says('ZZZ', sync, sync, sync),
      says('', flush),
      says('', flush, flush),
      says('TDCZ', query('SELECT 1')),
    ],
  },
  {
    name: 'cheap: several texts in one Parse',
    steps: [
      says('EZ', parse('', 'SELECT 1; SELECT 2'), sync),
      says('EZ', parse('m', 'SELECT 1; SELECT 2'), sync),
      says('Z', sync),
    ],
  },
  {
    name: 'cheap: too few and too many values',
    steps: [
      says('1Z', parse('a', 'SELECT $1::int'), sync),
      says('EZ', run('a'), sync),
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
    steps: [
      says('EZ', msg('S', cstr('x'))),
      says('TDCZ', query('SELECT 1')),
      says('E', msg('H', cstr('x'))),
      says('', query('SELECT 1')),
      says('Z', sync),
      says('TDCZE', query('SELECT 1'), msg('H', cstr('x'))),
      says('', query('SELECT 1'), flush),
      says('Z', sync),
      says('1E', parse('', 'SELECT 1'), msg('H', cstr('x')), run('')),
      says('Z', sync),
      says('TDCZ', query('SELECT 1')),
    ],
  },
  {
    name: '23: one byte in each write',
    steps: [
      saysByteByByte('12TDCZ', parse('a', 'SELECT $1'), bind('p', 'a', 'x'), describe('P', 'p'), execute('p'), sync),
      saysByteByByte('TDCZ', query('SELECT 1')),
      saysByteByByte('2DCZ', bind('', 'a', 'x'), execute(''), sync),
    ],
  },
  {
    name: '15: DEALLOCATE in a failed block leaves the statement, for what is sent right behind it, too',
    steps: [
      says('1Z', parse('a', 'SELECT 1'), sync),
      says('CZEZEZEZ', query('BEGIN'), query('SELECT 1 / 0'), query('DEALLOCATE a'), run('a'), sync),
      says('CZ', query('ROLLBACK')),
      says('2DCZ', run('a'), sync),
    ],
  },
  {
    name: '14: a failed block knows statements that could not be prepared in it',
    steps: [
      says('11Z', parse('a', 'SELECT $1::int'), parse('b', 'INSERT INTO t VALUES ($1)'), sync),
      says('1Z', parse('c', 'SELECT 3'), sync),
      says('CZEZ', query('BEGIN'), query('SELECT 1 / 0')),
      says('EZ', bind('', 'a', '1', '2'), sync),
      says('EZ', bind('', 'a', '1'), sync),
      says('tnZ', describe('S', 'b'), sync),
      says('EZ', describe('S', 'a'), sync),
      says('EZ', parse('a', 'ROLLBACK'), sync),
      says('EZ', parse('a', 'SELECT 1'), sync),
      says('EZ', parse('a', 'SELEC'), sync),
      says('CZ', query('ROLLBACK')),
      says('2DCZ', bind('', 'a', '1'), execute(''), sync),
      says('CZEZtnEZ', query('BEGIN'), query('SELECT 1 / 0'), describe('S', 'b'), parse('b', 'COMMIT'), sync),
      says('CCZEZEZ', query('ROLLBACK; BEGIN'), query('SELECT 1 / 0'), parse('a', 'COMMIT'), sync),
    ],
  },
  {
    name: '13: a wrong number of values for the unnamed statement is what is said, where it could not be parsed anew either',
    steps: [
      says('CZ', query('CREATE TABLE passing (id int)')),
      says(
        '12C12CZ',
        parse('', 'INSERT INTO passing VALUES ($1)'),
        bind('', '', '1'),
        execute(''),
        parse('a', 'SET search_path = pg_catalog'),
        run('a'),
        sync,
      ),
      says('EZ', bind('', ''), sync),
      says('EZ', bind('', '', '1', '2'), sync),
      says('EZ', bind('', '', '1'), sync),
    ],
  },
  {
    name: '15: DEALLOCATE in a failed block of what the server lacks, and what is sent right behind it',
    steps: [
      says('12CEZ', parse('a', 'BEGIN'), run('a'), parse('b', 'SELECT * FROM nowhere'), run('b'), sync),
      says('EZ', parse('b', 'SELECT 1'), run('b'), sync),
      says('EZEZ', query('DEALLOCATE a'), bind('', ''), execute(''), sync),
      says('CZ', query('ROLLBACK')),
    ],
  },
  {
    name: '15: DEALLOCATE of what can no longer be prepared',
    steps: [
      says('CZ', query('CREATE TABLE going (id int)')),
      says('1Z', parse('a', 'SELECT * FROM going'), sync),
      says('1Z', parse('b', 'SELECT 1'), sync),
      says('CZ', query('DROP TABLE going')),
      says('CZ', query('DEALLOCATE a')),
      says('EZ', run('a'), sync),
      says('1Z', parse('a', 'SELECT 2'), sync),
      says('12DCZ', parse('', 'SELECT 3'), run(''), sync),
      says('CZ2DCZEZ', query('DEALLOCATE a'), run('b'), sync, run('a'), sync),
      says('CZ', query('CREATE TABLE leaving (id int)')),
      says('1Z', parse('a', 'SELECT * FROM leaving'), sync),
      says('1Z', parse('c', 'SELECT 4'), sync),
      says('CZ', query('DROP TABLE leaving')),
      says('12C2DCZ', parse('', 'DEALLOCATE a'), run(''), run('c'), sync),
      says('EZ', run('a'), sync),
    ],
  },
  {
    name: '13: what is said when a text is prepared is said once',
    steps: [
      says('1Z', parse('a', `SELECT 1 AS ${'x'.repeat(70)}`), sync),
      says('1Z', parse('b', 'SELECT 2'), sync),
      says('2DCZ', run('a'), sync),
      says('tTZ', describe('S', 'a'), sync),
      says('1Z', parse('', `SELECT 2 AS ${'y'.repeat(70)}`), sync),
      says('EZ', parse('a', 'SELECT 3'), sync),
      says('2DCZ', run(''), sync),
    ],
  },
  {
    name: '23: names are told apart by their first 63 bytes',
    steps: [
      says('1Z', parse(`${longest}1`, 'SELECT $1::int'), sync),
      says('EZ', parse(`${longest}2`, 'SELECT 2'), sync),
      says('2DCZ', bind('', `${longest}3`, '1'), execute(''), sync),
      says('2DCZ', bind('', longest, '1'), execute(''), sync),
      says('EZEZ', bind('', `${longest}3`), sync, bind('', longest), sync),
      says('EZ', bind('', longest.slice(1), '1'), sync),
      says('tTZ', describe('S', `${longest}4`), sync),
      says('EZ', parse(`${longest}5`, 'SELECT 2'), sync),
      says('TDCZ', query(`EXECUTE ${longest}6(3)`)),
      says('CZ', query(`DEALLOCATE ${longest}7`)),
      says('EZ', bind('', `${longest}1`, '1'), sync),
      says('1Z', parse(`${longest}1`, 'SELECT 4'), sync),
      says('3EZ', close('S', `${longest}2`), run(`${longest}1`), sync),
      says('1Z', parse('ä'.repeat(40), 'SELECT 5'), sync),
      says('2DCZ', run(`${'ä'.repeat(31)}ö`), sync),
    ],
  },
  {
    name: '15: DEALLOCATE leaves another name of the same text, parsed in the same segment',
    steps: [
      says(
        '11CZ2DCCZ',
        parse('a', 'SELECT 1'),
        parse('b', 'SELECT 1'),
        query('DEALLOCATE a'),
        run('b'),
        query('SET x.y = 1'),
      ),
      says('2DCZEZ', run('b'), sync, run('a'), sync),
    ],
  },
];
