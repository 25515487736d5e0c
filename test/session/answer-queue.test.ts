import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { AnswerQueue, INJECTED, isCompletion, Owed, owedByType } from '../../src/session/answer-queue.ts';

const { Bind, Close, Describe, Execute, FunctionCall, Parse, Query, Sync } = Owed;

/** A queue to which these were pushed; a Sync or Query of a test has its place as its offset. */
function queueOf(...kinds: readonly number[]): AnswerQueue {
  const queue = new AnswerQueue();
  kinds.forEach((kind, index) => queue.push(kind, `subject ${index}`, (index + 1) * 10));
  return queue;
}

/** Takes everything off, in order. */
function drain(queue: AnswerQueue): number[] {
  const kinds: number[] = [];
  for (let head = queue.head; head !== 0; head = queue.head) {
    kinds.push(head);
    queue.shift();
  }
  return kinds;
}

describe('what a frontend message owes', () => {
  it('follows from its type byte', () => {
    const owed = 'QFSPBDEC'.split('').map((letter) => owedByType(letter.charCodeAt(0)));
    assert.deepEqual(owed, [Query, FunctionCall, Sync, Parse, Bind, Describe, Execute, Close]);
  });

  it('is nothing for Flush, Terminate, passwords and COPY data, nor for what is no type', () => {
    for (const letter of 'HXpdcfZ\0\xff') assert.equal(owedByType(letter.charCodeAt(0)), 0, letter);
    assert.equal(owedByType(256), 0);
  });

  it('is completed by CommandComplete, EmptyQueryResponse or PortalSuspended where it is an Execute', () => {
    const completing = 'CIs'.split('').filter((letter) => isCompletion(letter.charCodeAt(0)));
    const others = '123TDZEnNtASGHdcV'.split('').filter((letter) => isCompletion(letter.charCodeAt(0)));
    assert.deepEqual([completing.join(''), others], ['CIs', []]);
  });
});

describe('a queue of owed answers', () => {
  it('is quiet and empty when it is new', () => {
    const queue = new AnswerQueue();
    assert.deepEqual(
      [queue.quiet, queue.length, queue.requests, queue.head, queue.last, queue.headInjected, queue.headOffset],
      [true, 0, 0, 0, 0, false, 0],
    );
    assert.equal(queue.headSubject, undefined);
    queue.shift();
    assert.equal(queue.length, 0);
    assert.equal(queue.requests, 0);
  });

  it('is served first come, first served, each with its subject and offset', () => {
    const queue = queueOf(Parse, Bind, Sync);
    assert.deepEqual([queue.head, queue.headSubject, queue.headOffset], [Parse, 'subject 0', 10]);
    queue.shift();
    assert.deepEqual([queue.head, queue.headSubject, queue.headOffset], [Bind, 'subject 1', 20]);
    assert.equal(queue.last, Sync);
    queue.shift();
    queue.shift();
    assert.equal(queue.head, 0);
    assert.ok(queue.quiet);
  });

  it("tells pgmirror's own messages from the client's", () => {
    const queue = new AnswerQueue();
    queue.push(Parse | INJECTED);
    queue.push(Parse);
    queue.push(Sync | INJECTED);
    assert.deepEqual([queue.head, queue.headInjected], [Parse, true]);
    queue.shift();
    assert.deepEqual([queue.head, queue.headInjected], [Parse, false]);
    queue.shift();
    assert.deepEqual([queue.head, queue.headInjected, queue.last, queue.requests], [Sync, true, Sync, 1]);
  });

  it('does not hold a subject that was taken off', () => {
    const queue = new AnswerQueue();
    queue.push(Parse, 'one');
    queue.shift();
    assert.equal(queue.headSubject, undefined);
    queue.push(Parse);
    assert.equal(queue.headSubject, undefined);
  });
});

describe('the simple query flow', () => {
  it('owes one ReadyForQuery for each Query, whatever comes before it', () => {
    const queue = queueOf(Query, Query);
    assert.deepEqual([queue.requests, queue.quiet, queue.segmentOpen], [2, false, false]);
    queue.shift();
    assert.deepEqual([queue.requests, queue.quiet], [1, false]);
    queue.shift();
    assert.deepEqual([queue.requests, queue.quiet], [0, true]);
  });

  it('is that of a FunctionCall, too', () => {
    const queue = queueOf(FunctionCall);
    assert.deepEqual([queue.requests, queue.segmentOpen, queue.head], [1, false, FunctionCall]);
    queue.shift();
    assert.ok(queue.quiet);
  });
});

describe('the extended query flow', () => {
  it('is open from its first message to its Sync', () => {
    const queue = new AnswerQueue();
    for (const kind of [Parse, Bind, Describe, Execute, Close]) {
      queue.push(kind);
      assert.deepEqual([queue.segmentOpen, queue.requests, queue.quiet], [true, 0, false]);
    }
    queue.push(Sync);
    assert.deepEqual([queue.segmentOpen, queue.requests], [false, 1]);
    assert.deepEqual(drain(queue), [Parse, Bind, Describe, Execute, Close, Sync]);
    assert.ok(queue.quiet);
  });

  it('is not quiet when all is answered and the Sync has not been sent', () => {
    const queue = queueOf(Parse);
    queue.shift();
    assert.deepEqual([queue.length, queue.quiet], [0, false]);
    queue.push(Sync);
    queue.shift();
    assert.ok(queue.quiet);
  });

  it('may have many Syncs in flight, each of which owes its ReadyForQuery', () => {
    const queue = new AnswerQueue();
    const one = [Parse, Bind, Execute, Sync];
    for (let segment = 0; segment < 20; segment++) for (const kind of one) queue.push(kind);
    assert.equal(queue.requests, 20);
    assert.deepEqual(drain(queue), Array.from({ length: 20 }, () => one).flat());
    assert.equal(queue.requests, 0);
  });

  it('is closed by a Query, at whose end the server waits for a request', () => {
    const queue = queueOf(Parse, Bind, Execute, Query);
    assert.deepEqual(drain(queue), [Parse, Bind, Execute, Query]);
    assert.equal(queue.requests, 0);
    assert.ok(queue.quiet);
  });
});

describe('an error in the extended query flow', () => {
  it('takes off what the server skips, up to the Sync', () => {
    const queue = queueOf(Parse, Bind, Execute, Sync, Parse, Sync);
    queue.shift();
    assert.equal(queue.failSegment(), 0);
    assert.deepEqual([queue.skipping, queue.requests, queue.head, queue.headOffset], [false, 2, Sync, 40]);
    assert.deepEqual(drain(queue), [Sync, Parse, Sync]);
    assert.ok(queue.quiet);
  });

  it('before the Sync is sent has the server skip until it comes', () => {
    const queue = queueOf(Parse, Bind);
    assert.equal(queue.failSegment(), 0);
    assert.deepEqual([queue.length, queue.skipping, queue.segmentOpen, queue.quiet], [0, true, false, false]);
    queue.push(Sync, undefined, 7);
    assert.deepEqual([queue.skipping, queue.requests, queue.headOffset], [false, 1, 7]);
    queue.shift();
    assert.ok(quietAndClosed(queue));
  });

  it('has even a Query and a FunctionCall skipped that were sent before the Sync, and tells how many', () => {
    const queue = queueOf(Parse, Query, FunctionCall, Sync);
    assert.equal(queue.failSegment(), 2);
    assert.deepEqual([queue.requests, queue.head], [1, Sync]);
    queue.shift();
    assert.ok(quietAndClosed(queue));
  });

  it('has a Query skipped that was sent, and goes on skipping, where no Sync was', () => {
    const queue = queueOf(Parse, Query);
    assert.equal(queue.failSegment(), 1);
    assert.deepEqual([queue.requests, queue.length, queue.skipping], [0, 0, true]);
    queue.push(Sync);
    queue.shift();
    assert.ok(quietAndClosed(queue));
  });

  it('leaves the segment behind the Sync open', () => {
    const queue = queueOf(Parse, Sync, Parse, Bind);
    assert.equal(queue.failSegment(), 0);
    assert.deepEqual([queue.segmentOpen, queue.skipping], [true, false]);
    assert.deepEqual(drain(queue), [Sync, Parse, Bind]);
    assert.equal(queue.quiet, false);
  });

  it('in one segment does not touch the next, and each may fail on its own', () => {
    const queue = queueOf(Parse, Sync, Bind, Execute, Sync, Bind, Sync);
    assert.equal(queue.failSegment(), 0);
    assert.equal(queue.headOffset, 20);
    queue.shift();
    assert.equal(queue.failSegment(), 0);
    assert.equal(queue.headOffset, 50);
    queue.shift();
    assert.deepEqual(drain(queue), [Bind, Sync]);
  });

  it('of the Sync itself (a deferred constraint) takes nothing off', () => {
    const queue = queueOf(Execute, Sync);
    queue.shift();
    assert.equal(queue.failSegment(), 0);
    assert.deepEqual([queue.head, queue.requests, queue.skipping], [Sync, 1, false]);
  });
});

describe('COPY FROM STDIN in the simple query flow', () => {
  it('owes the ReadyForQuery of its Query, and no answer for data', () => {
    const queue = queueOf(Query);
    assert.equal(queue.enterCopyIn(), 0);
    assert.deepEqual([queue.copyIn, queue.requests, queue.quiet], [true, 1, false]);
    queue.copyEnded();
    assert.deepEqual([queue.copyIn, queue.head, queue.requests, queue.answerDue], [false, Query, 1, true]);
    queue.shift();
    assert.ok(quietAndClosed(queue));
  });

  it('ignores a Sync that was sent before, and nothing stays open behind it', () => {
    const queue = queueOf(Query, Sync);
    assert.equal(queue.enterCopyIn(), 1);
    assert.deepEqual([queue.requests, queue.ignoredSyncs, queue.awaitsCopy], [1, 1, true]);
    queue.copyEnded();
    assert.deepEqual(drain(queue), [Query]);
    assert.ok(quietAndClosed(queue));
  });

  it('lets nothing follow what was sent amid the data, before it is known whether the COPY has failed', () => {
    const queue = queueOf(Query);
    queue.enterCopyIn();
    assert.equal(queue.awaitsCopy, false);
    queue.push(Query);
    assert.deepEqual([queue.awaitsCopy, queue.strayed], [true, true]);
    queue.copyFailed();
    assert.deepEqual([queue.awaitsCopy, queue.strayed], [false, false]);
  });

  it('ignores a Sync amid the data', () => {
    const queue = queueOf(Query);
    queue.enterCopyIn();
    queue.push(Sync);
    assert.deepEqual([queue.requests, queue.length, queue.ignoredSyncs], [1, 1, 1]);
    queue.copyEnded();
    assert.deepEqual(drain(queue), [Query]);
    assert.ok(quietAndClosed(queue));
  });

  it('that fails behind such a Sync leaves in doubt how many ReadyForQuerys are to come', () => {
    const queue = queueOf(Query);
    queue.enterCopyIn();
    queue.push(Sync);
    queue.copyFailed();
    queue.shift();
    assert.deepEqual([queue.quiet, queue.awaitsCopy], [false, true]);
    queue.doubtSettled(false);
    assert.ok(quietAndClosed(queue));
  });
});

describe('COPY FROM STDIN in the extended query flow', () => {
  it('is ended by CopyDone and owes its ReadyForQuery to the Sync behind it', () => {
    const queue = queueOf(Parse, Bind, Execute);
    queue.shift();
    queue.shift();
    assert.equal(queue.enterCopyIn(), 0);
    assert.deepEqual([queue.copyIn, queue.segmentOpen, queue.quiet, queue.answerDue], [true, true, false, false]);
    queue.copyEnded();
    queue.push(Sync);
    assert.deepEqual([queue.copyIn, queue.segmentOpen, queue.requests], [false, false, 1]);
    assert.deepEqual(drain(queue), [Execute, Sync]);
    assert.ok(quietAndClosed(queue));
  });

  it('ignores the Sync that was sent before its CopyInResponse, and is not committed without another', () => {
    const queue = queueOf(Parse, Bind, Execute, Sync);
    queue.shift();
    queue.shift();
    assert.equal(queue.enterCopyIn(), 1);
    assert.deepEqual([queue.requests, queue.segmentOpen, queue.copyIn, queue.length], [0, true, true, 1]);
    assert.ok(queue.executeWithoutSync);
    queue.copyEnded();
    queue.shift();
    assert.equal(queue.awaitsCopy, false);
    queue.push(Sync);
    assert.deepEqual(drain(queue), [Sync]);
    assert.ok(quietAndClosed(queue));
  });

  it('ignores several Syncs, and knows how many', () => {
    const queue = queueOf(Execute, Sync, Sync, Sync);
    assert.equal(queue.enterCopyIn(), 3);
    assert.deepEqual([queue.length, queue.requests, queue.ignoredSyncs], [1, 0, 3]);
  });

  it('is to fail where anything else was sent behind it: nothing is ignored', () => {
    const queue = queueOf(Execute, Sync, Parse, Sync);
    assert.equal(queue.enterCopyIn(), 0);
    assert.deepEqual([queue.copyIn, queue.length, queue.requests], [true, 4, 2]);
  });

  it('that fails before CopyDone is over, and the server skips to the Sync', () => {
    const queue = queueOf(Execute);
    queue.enterCopyIn();
    assert.equal(queue.failSegment(), 0);
    assert.deepEqual([queue.copyIn, queue.skipping, queue.doubt], [false, true, undefined]);
    queue.push(Sync);
    assert.deepEqual([queue.skipping, queue.requests], [false, 1]);
    assert.deepEqual(drain(queue), [Sync]);
    assert.ok(quietAndClosed(queue));
  });

  it('that fails behind a Sync amid its data goes on skipping, or not, as is found out', () => {
    for (const answered of [true, false]) {
      const queue = queueOf(Execute, Sync);
      queue.enterCopyIn();
      assert.equal(queue.failSegment(), 0);
      assert.deepEqual([queue.skipping, queue.awaitsCopy, queue.quiet], [true, true, false]);
      queue.doubtSettled(answered);
      assert.deepEqual([queue.skipping, queue.awaitsCopy, queue.quiet], [!answered, false, answered]);
    }
  });

  it('that fails after CopyDone and Sync were sent leaves the Sync', () => {
    const queue = queueOf(Execute);
    queue.enterCopyIn();
    queue.copyEnded();
    queue.push(Sync);
    assert.equal(queue.failSegment(), 0);
    assert.deepEqual(drain(queue), [Sync]);
    assert.ok(quietAndClosed(queue));
  });
});

describe('what is answered without anything more being sent', () => {
  it('is all that stands before a Sync, a Query or a Flush', () => {
    const queue = queueOf(Parse, Bind);
    assert.deepEqual([queue.answerDue, queue.allDue], [false, false]);
    queue.flushed();
    queue.push(Execute);
    assert.deepEqual([queue.answerDue, queue.allDue], [true, false]);
    queue.shift();
    queue.shift();
    assert.deepEqual([queue.answerDue, queue.allDue], [false, false]);
    queue.push(Sync);
    assert.deepEqual([queue.answerDue, queue.allDue], [true, true]);
  });
});

describe('the transactions that have ended', () => {
  it('are counted until somebody takes the count', () => {
    const queue = new AnswerQueue();
    queue.transactionEnded();
    queue.transactionEnded();
    assert.deepEqual([queue.takeTransactions(), queue.takeTransactions()], [2, 0]);
  });
});

describe('an Execute without its Sync', () => {
  const cases: readonly (readonly [string, readonly number[], boolean])[] = [
    ['nothing', [], false],
    ['Parse and Bind', [Parse, Bind], false],
    ['an Execute', [Parse, Bind, Execute], true],
    ['an Execute and messages behind it', [Execute, Close, Parse, Describe], true],
    ['an Execute with its Sync', [Execute, Sync], false],
    ['an Execute with its Sync and an open segment', [Execute, Sync, Parse], false],
    ['a second Execute without', [Execute, Sync, Bind, Execute], true],
    ['a Query', [Query], false],
  ];
  for (const [what, kinds, expected] of cases) {
    it(`is ${expected ? '' : 'not '}there after ${what}`, () => {
      assert.equal(queueOf(...kinds).executeWithoutSync, expected);
    });
  }
});

describe('the ring of a queue', () => {
  it('grows in order, wherever its first entry stands', () => {
    for (let taken = 0; taken < 16; taken++) {
      const queue = new AnswerQueue();
      for (let index = 0; index < taken; index++) {
        queue.push(Query);
        queue.shift();
      }
      for (let index = 0; index < 100; index++) queue.push(index % 2 === 0 ? Query : FunctionCall, index, index + 1);
      assert.deepEqual([queue.length, queue.requests, queue.last], [100, 100, FunctionCall]);
      for (let index = 0; index < 100; index++) {
        assert.deepEqual(
          [queue.head, queue.headSubject, queue.headOffset],
          [index % 2 === 0 ? Query : FunctionCall, index, index + 1],
          `${taken} taken before, entry ${index}`,
        );
        queue.shift();
      }
      assert.ok(quietAndClosed(queue));
    }
  });

  it('is used again and again as long as little is in flight', () => {
    const queue = new AnswerQueue();
    for (let round = 0; round < 1_000; round++) {
      for (const kind of [Parse, Bind, Execute, Sync]) queue.push(kind, round, round);
      assert.equal(queue.headSubject, round);
      assert.deepEqual(drain(queue), [Parse, Bind, Execute, Sync]);
    }
    assert.ok(quietAndClosed(queue));
  });

  it('keeps order and counts through errors and COPY across its seam', () => {
    for (let taken = 0; taken < 16; taken++) {
      const queue = new AnswerQueue();
      for (let index = 0; index < taken; index++) {
        queue.push(Query);
        queue.shift();
      }
      [Execute, Sync].forEach((kind, index) => queue.push(kind, index, index + 1));
      assert.equal(queue.enterCopyIn(), 1, `${taken} taken before`);
      queue.copyEnded();
      queue.shift();
      const kinds = [Sync, Parse, Bind, Execute, Sync, Query];
      kinds.forEach((kind, index) => queue.push(kind, index + 3, index + 4));
      assert.deepEqual([queue.head, queue.headSubject], [Sync, 3], `${taken} taken before`);
      queue.shift();
      assert.deepEqual([queue.head, queue.headSubject], [Parse, 4], `${taken} taken before`);
      assert.equal(queue.failSegment(), 0);
      assert.deepEqual([queue.headOffset, queue.requests], [8, 2]);
      assert.deepEqual(drain(queue), [Sync, Query]);
    }
  });
});

function quietAndClosed(queue: AnswerQueue): boolean {
  assert.deepEqual(
    {
      length: queue.length,
      requests: queue.requests,
      segmentOpen: queue.segmentOpen,
      skipping: queue.skipping,
      copyIn: queue.copyIn,
    },
    { length: 0, requests: 0, segmentOpen: false, skipping: false, copyIn: false },
  );
  return queue.quiet;
}
