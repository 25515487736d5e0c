import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { noStatistics } from '../../src/pool/pool-statistics.ts';
import { StatisticsBook } from '../../src/supervisor/statistics-book.ts';

const counted = (database: string, transactions: number) => new Map([[database, { ...noStatistics(), transactions }]]);

describe('the statistics of all threads', () => {
  it('are summed up by database, and those of a thread that has ended are kept', () => {
    const book = new StatisticsBook();
    const transactions = (database: string): number | undefined => book.read().get(database)?.transactions;
    book.told(0, counted('app', 3));
    book.told(1, counted('app', 4));
    assert.deepEqual([transactions('app'), transactions('other')], [7, undefined]);
    book.told(0, counted('app', 5));
    book.threadEnded(0);
    assert.equal(transactions('app'), 9);
    book.told(0, counted('other', 1));
    book.threadEnded(2);
    assert.deepEqual([transactions('app'), transactions('other')], [9, 1]);
    book.threadEnded(0);
    book.threadEnded(0);
    assert.deepEqual([transactions('app'), transactions('other')], [9, 1]);
  });
});
