import { bind, describe, execute, flush, parse, query, sync } from '../../support/bytes.ts';
import { copyData, copyDone, copyFail, functionCall } from './copy-messages.ts';
import { once, run, says, type Dialogue } from './dialogue.ts';

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
      says(
        'GEZTDCZGCZ',
        query(copy),
        copyData('x\n'),
        copyDone,
        query('SELECT 1'),
        query(copy),
        copyData('1\n'),
        copyDone,
      ),
    ],
  },
  {
    name: '19: COPY fails at once, and its data comes behind the error',
    steps: [
      says('EZTDCZ', query('COPY nowhere FROM STDIN'), copyData('1\n'), copyDone, query('SELECT 1')),
      says('EZ', query('COPY nowhere FROM STDIN')),
      says('', copyData('1\n'), copyDone),
      says('12EZ', once('COPY c FROM STDIN WITH (FORMAT text, DELIMITER $$ab$$)'), copyData('1\n'), copyDone, sync),
      says('Z', sync),
    ],
  },
  {
    name: '20: a COPY by the extended protocol that fails while a message of its data is half here',
    steps: [
      says('12G', parse('', 'COPY c FROM STDIN'), run(''), sync),
      {
        send: [Buffer.concat([copyData('x\n'), copyData('1\n').subarray(0, 6)]), copyData('1\n').subarray(6)],
        answer: 'E',
      },
      says('', copyDone),
      says('Z', sync),
      says('TDCZ', query('SELECT 1')),
    ],
  },
  {
    name: '20: COPY by the extended protocol, its Sync before the data',
    steps: [
      says('12G', once(copy), sync),
      says('CZ', copyData('1\n'), copyDone, sync),
      says('12GCZ', once(copy), sync, copyData('2\n'), copyDone, sync),
      says('TDCZ', query('SELECT count(*) FROM c')),
    ],
  },
  {
    name: '20: COPY by the extended protocol without a Sync before the data',
    steps: [
      says('12G', once(copy), flush),
      says('', copyData('1\n'), flush, copyData('2\n')),
      says('CZ', copyDone, sync),
      says('12GC', parse('cp', copy), run('cp'), copyData('2\n'), copyDone, flush),
      says('12DCZ', once('SELECT count(*) FROM c'), sync),
    ],
  },
  {
    name: '20: COPY by the extended protocol fails in its data',
    steps: [
      says('12G', once(copy), flush),
      says('E', copyData('x\n')),
      says('', copyData('1\n'), copyDone),
      says('Z', sync),
      says('12GEZ', once(copy), copyData('x\n'), copyDone, sync),
      says('TDCZ', query('SELECT count(*) FROM c')),
    ],
  },
  {
    name: '20: the same with Sync before the data: is the Sync in the data its own?',
    steps: [
      says('12G', once(copy), sync),
      says('E', copyData('x\n')),
      says('', copyDone),
      says('Z', sync),
      says('TDCZ', query('SELECT count(*) FROM c')),
    ],
  },
  {
    name: '20: the same in one write',
    steps: [
      says('12GEZ', once(copy), sync, copyData('x\n'), copyDone, sync),
      says('TDCZ', query('SELECT count(*) FROM c')),
    ],
  },
  {
    name: '20: COPY by the extended protocol fails, and a Query is skipped with the rest of the data',
    steps: [
      {
        send: [
          parse('', copy),
          Buffer.concat([...[run(''), copyDone, run('')], ...[copyData('x\n'), query(copy), sync, copyDone]]),
        ],
        answer: '12GC2GEZ',
      },
      says('Z', copyFail('over'), sync),
      says('TDCZ', query('SELECT count(*) FROM c')),
    ],
  },
  {
    name: '20: of the Syncs amid data those behind its error are answered',
    steps: [
      says('12G', once(copy), flush),
      says('', copyData('4'), sync),
      says('E', copyData('x\n')),
      says('', query('SELECT 1'), copyDone),
      says('Z', sync),
      says('2G', run(''), flush),
      says('EZ', copyData('x\n'), sync, copyDone),
      says('Z', sync),
      says('12GEZZZ', once(copy), copyData('x\n'), sync, sync, copyDone, sync),
      says('2GEZTDCZ', run(''), copyData('x\n'), sync, query('SELECT 1')),
      says('12GEZ1Z', once(copy), copyData('x\n'), sync, parse('', 'SELECT 1'), sync),
      says('CZ', query('BEGIN')),
      says('12GEZZ', once(copy), copyData('x\n'), sync, sync),
      says('CZ', query('ROLLBACK')),
    ],
  },
  {
    name: '20: the same in the simple protocol',
    steps: [
      says('G', query(copy)),
      says('EZZZ', copyData('x\n'), sync, copyDone, sync),
      says('GEZZTDCZ', query(copy), copyData('x\n'), sync, copyFail('no'), query('SELECT 1')),
      says('GEZ', query(copy), copyData('4'), sync, copyData('x\n')),
      says('GEZZ1Z', query(copy), copyData('x\n'), sync, parse('', 'SELECT 1'), sync),
    ],
  },
  {
    name: '20: a Query behind a Sync amid the data ends the connection',
    steps: [says('12G', once(copy), sync), says('EE!', copyData('1\n'), sync, query('SELECT 1'))],
  },
  {
    name: '20: CopyFail by the extended protocol',
    steps: [
      says('12GEZ', once(copy), copyData('1\n'), copyFail('no'), sync),
      says('12GEZ', once(copy), sync, copyFail('no'), sync),
      says('TDCZ', query('SELECT count(*) FROM c')),
    ],
  },
  {
    name: 'COPY: a Query amid the data of a simple query ends the connection',
    steps: [says('G', query(copy)), says('EE!', query('SELECT 1'))],
  },
  {
    name: 'COPY: a Bind behind the command ends the connection',
    steps: [says('GEE!', query(copy), run(''), sync)],
  },
  {
    name: 'COPY: a Bind behind the second of two commands ends the connection',
    steps: [says('GCGEE!', query(`${copy}; ${copy}`), copyData('1\n'), copyDone, run(''), sync)],
  },
  {
    name: 'COPY: a Parse amid the data of a simple query ends the connection',
    steps: [says('G', query(copy)), says('EE!', copyData('1\n'), parse('', 'SELECT 1'))],
  },
  {
    name: 'COPY: a Bind amid the data of the extended protocol ends the connection',
    steps: [says('12G', once(copy), flush), says('EE!', bind('', ''))],
  },
  {
    name: 'COPY: what is sent behind its data, which fail, names statements that the server may lack',
    steps: [
      says('1Z', parse('a', 'SELECT 1'), sync),
      says('1Z', parse('b', 'SELECT 2'), sync),
      says('GEZEZ', query(copy), copyData('x\n'), parse('a', 'SELECT 3'), sync),
      says('1Z', parse('c', 'SELECT 3'), sync),
      says('GEZCZ', query(copy), copyData('x\n'), query('DEALLOCATE a')),
      says('EZ2DCZ', run('a'), sync, run('b'), sync),
      says('1Z', parse('a', 'SELECT 4'), sync),
      says('1Z', parse('d', 'SELECT 5'), sync),
      says('GEZtTZ', query(copy), copyData('x\n'), describe('S', 'a'), sync),
      says('1Z', parse('e', 'SELECT 6'), sync),
      says('GEZ2DCZ', query(copy), copyData('x\n'), run('a'), sync),
    ],
  },
  {
    name: 'COPY: a DEALLOCATE amid the data, of what the server may lack',
    differs: 'PostgreSQL names the message that it did not expect: pgmirror has sent it another one before',
    steps: [
      says('1Z', parse('a', 'SELECT 1'), sync),
      says('1Z', parse('b', 'SELECT 2'), sync),
      says('GEE!', query(copy), copyData('1\n'), query('DEALLOCATE a')),
    ],
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
      says(
        'TDCGCTDCGCZ',
        query(`SELECT 1; ${copy}; SELECT 2; ${copy}`),
        copyData('1\n'),
        copyDone,
        copyData('2\n'),
        copyDone,
      ),
      says(
        'TDCGEZ',
        query(`SELECT 1; ${copy}; SELECT 2; ${copy}`),
        copyData('x\n'),
        copyDone,
        copyData('2\n'),
        copyDone,
      ),
      says('TDCZ', query('SELECT count(*) FROM c')),
    ],
  },
  {
    name: 'COPY: another behind data that are refused, with its own data at once',
    steps: [
      says(
        'GEZGCZTDCZ',
        query(copy),
        copyData('x\n'),
        query(copy),
        copyData('7\n'),
        copyDone,
        query('SELECT count(*) FROM c'),
      ),
      says('TDCGEZGCZZ', query(`SELECT 1; ${copy}; ${copy}`), copyData('x\n'), query(copy), copyDone, sync),
      says('GEZ12GCZ', query(copy), copyData('x\n'), once(copy), copyData('8\n'), copyDone, sync),
      says('GEZ12GCZ', query(copy), copyData('x\n'), once(copy), sync, copyData('9\n'), copyDone, sync),
      says('GEZGEZZ', query(copy), copyData('x\n'), query(copy), copyFail('enough'), sync),
      says('GEZ1EZZ', query(copy), copyData('x\n'), parse('', copy), query('SELEC'), sync),
      says('12GEZGCZ', once(copy), copyData('x\n'), query(copy), copyDone, sync, query(copy), copyDone),
      says('TDCZ', query('SELECT sum(id) FROM c')),
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
      says('12HddcCZ', once('COPY (SELECT 1 UNION ALL SELECT 2) TO STDOUT'), sync),
      says('12nHdcCZ', parse('', 'COPY (SELECT 1) TO STDOUT'), bind('', ''), describe('P', ''), execute('', 1), sync),
      says('EZ', query('COPY (SELECT 1 / 0) TO STDOUT')),
    ],
  },
];
