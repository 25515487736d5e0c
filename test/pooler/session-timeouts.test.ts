import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import type { ClientInput } from '../../src/pooler/client-input.ts';
import { whatIsWaitedFor } from '../../src/pooler/session-timeouts.ts';
import type { WaitsFor } from '../../src/pooler/session-timeouts.ts';
import type { Server } from '../../src/pooler/session-link.ts';
import { TransactionStatus } from '../../src/protocol/message-types.ts';
import { AnswerQueue, Owed } from '../../src/session/answer-queue.ts';

const nothingPending = { pending: false, blocked: false, streaming: false } as ClientInput;

function waitsFor(ask: (answers: AnswerQueue) => void, status: number = TransactionStatus.Idle): WaitsFor {
  const answers = new AnswerQueue();
  ask(answers);
  return whatIsWaitedFor({ status, state: { answers } } as Server, nothingPending);
}

describe('what a session waits for', () => {
  it('is an answer where one is to come without anything more from the client', () => {
    assert.equal(
      waitsFor((answers) => answers.push(Owed.Query)),
      'answer',
    );
    const flushed = (answers: AnswerQueue): void => {
      answers.push(Owed.Execute);
      answers.flushed();
    };
    assert.equal(waitsFor(flushed), 'answer');
    assert.equal(waitsFor(flushed, TransactionStatus.InTransaction), 'answer');
  });

  it('is else the client: its next request, or what it has begun', () => {
    const nothing = (): void => undefined;
    assert.equal(waitsFor(nothing), 'request');
    assert.equal(waitsFor(nothing, TransactionStatus.InTransaction), 'transaction');
    assert.equal(
      waitsFor((answers) => answers.push(Owed.Parse)),
      'transaction',
    );
  });

  it('is the end of what the client has begun where that has failed, and its Sync has not come', () => {
    const failed = (answers: AnswerQueue): void => {
      answers.push(Owed.Parse);
      answers.failSegment();
    };
    assert.equal(waitsFor(failed), 'transaction');
  });

  it('is the client where part of a message has come: in a block it is idle all the same', () => {
    const halfSent = { pending: true, blocked: false, streaming: false };
    const server = { status: TransactionStatus.InTransaction, state: { answers: new AnswerQueue() } } as Server;
    assert.equal(whatIsWaitedFor(server, halfSent as ClientInput), 'transaction');
    assert.equal(whatIsWaitedFor(server, { ...halfSent, blocked: true } as ClientInput), undefined);
  });

  it('is the client where a server has half of its message, unless that owes an answer from before', () => {
    const streaming = { pending: false, blocked: false, streaming: true } as ClientInput;
    const answers = new AnswerQueue();
    const server = { status: TransactionStatus.Idle, state: { answers } } as Server;
    answers.push(Owed.Query);
    assert.equal(whatIsWaitedFor(server, streaming), 'transaction');
    answers.push(Owed.Query);
    assert.equal(whatIsWaitedFor(server, streaming), 'answer');
  });
});
