import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { dropReasonIndex } from '../../src/mirror/record/drop-reason-names.ts';
import { allocateCounters, MirrorCounters } from '../../src/mirror/record/mirror-counters.ts';
import { CounterBook, NO_COUNTS } from '../../src/supervisor/counter-book.ts';

/** A book with so many threads, whose counters a test writes. */
function bookOf(threads: number): { book: CounterBook; counters: MirrorCounters[] } {
  const book = new CounterBook();
  const counters = Array.from({ length: threads }, (_, thread) => {
    const memory = allocateCounters();
    book.threadStarted(thread, memory);
    return new MirrorCounters(memory);
  });
  return { book, counters };
}

/** What is counted, in short. */
function shown(book: CounterBook): (string | number)[][] {
  return book
    .read()
    .map(({ mirror, user, total, replayed, queueLength, dropped }) => [
      `${mirror} ${user}`,
      total,
      replayed,
      queueLength,
      dropped[dropReasonIndex.lost] ?? 0,
    ])
    .sort(([a], [b]) => (String(a) < String(b) ? -1 : 1));
}

describe('the counters of all threads', () => {
  it('are summed up by mirror and user, whatever row each thread has for them', () => {
    const { book, counters } = bookOf(2);
    book.rowNamed(0, 0, 1, 'anna');
    book.rowNamed(0, 1, 2, 'anna');
    book.rowNamed(1, 0, 2, 'anna');
    book.rowNamed(1, 1, 1, 'bert');
    counters[0]!.queued(0, 10);
    counters[0]!.queued(1, 10);
    counters[1]!.queued(0, 10);
    counters[1]!.finished(0, 10, 1, 0);
    counters[1]!.dropped(1, 0);
    assert.deepEqual(shown(book), [
      ['1 anna', 1, 0, 1, 0],
      ['1 bert', 1, 0, 0, 0],
      ['2 anna', 2, 1, 1, 0],
    ]);
  });

  it('are kept when a thread dies: what it had handed over is lost', () => {
    const { book, counters } = bookOf(2);
    for (const thread of [0, 1]) {
      book.rowNamed(thread, 0, 1, 'anna');
      counters[thread]!.queued(0, 10);
      counters[thread]!.queued(0, 10);
      counters[thread]!.finished(0, 10, 1, 0);
    }
    book.threadEnded(0);
    assert.deepEqual(shown(book), [['1 anna', 4, 2, 1, 1]]);
    book.threadEnded(0);
    const memory = allocateCounters();
    book.threadStarted(0, memory);
    book.rowNamed(0, 0, 1, 'anna');
    new MirrorCounters(memory).queued(0, 10);
    assert.deepEqual(shown(book), [['1 anna', 5, 2, 2, 1]]);
  });

  it('are forgotten by a reset where their thread is dead', () => {
    const { book, counters } = bookOf(2);
    book.rowNamed(0, 0, 1, 'anna');
    book.rowNamed(1, 0, 1, 'anna');
    counters[0]!.queued(0, 10);
    counters[1]!.queued(0, 10);
    book.threadEnded(0);
    book.reset();
    counters[1]!.reset(0);
    assert.deepEqual(shown(book), [['1 anna', 1, 0, 1, 0]]);
  });

  it('of errors never go back: neither where a thread dies nor where one does not answer', () => {
    const { book } = bookOf(2);
    book.rowNamed(0, 0, 1, 'anna');
    book.rowNamed(0, 2, 2, 'anna');
    book.rowNamed(1, 0, 1, 'anna');
    book.errorsTold(0, [
      [0, '42P01', 3],
      [2, '22012', 1],
    ]);
    book.errorsTold(1, [[0, '42P01', 4]]);
    assert.deepEqual([...book.errorsOf(1)], [['42P01', 7]]);
    assert.deepEqual([...book.errorsOf(2)], [['22012', 1]]);
    book.threadEnded(0);
    assert.deepEqual([...book.errorsOf(1)], [['42P01', 7]]);
    book.threadStarted(0, allocateCounters());
    book.rowNamed(0, 0, 1, 'anna');
    book.errorsTold(0, [[0, '23505', 1]]);
    assert.deepEqual(
      [...book.errorsOf(1)],
      [
        ['42P01', 7],
        ['23505', 1],
      ],
    );
    assert.deepEqual([...book.errorsOf(2)], [['22012', 1]]);
    book.reset();
    assert.deepEqual([[...book.errorsOf(1)], [...book.errorsOf(2)]], [[], []]);
  });

  it('of a row that has no name yet are not shown', () => {
    const { book, counters } = bookOf(1);
    counters[0]!.queued(0, 10);
    assert.deepEqual(book.read(), []);
    book.rowNamed(0, 1, 1, 'anna');
    assert.deepEqual(shown(book), [['1 anna', 0, 0, 0, 0]]);
  });

  it('are nothing where nothing was counted', () => {
    assert.deepEqual(new CounterBook().read(), []);
    assert.equal(
      NO_COUNTS.dropped.reduce((sum, count) => sum + count, NO_COUNTS.total),
      0,
    );
  });
});
