import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { ParameterSet } from '../../src/session/parameter-set.ts';
import {
  bind,
  commandComplete,
  errorFields,
  errorResponse,
  execute,
  msg,
  parameterStatus,
  parse,
  query,
  readyForQuery,
  sync,
} from '../support/bytes.ts';
import { copyFail } from '../e2e/wire/copy-messages.ts';
import { eventually } from '../support/eventually.ts';
import { received } from './relay-bench.ts';
import { openSession } from './session-bench.ts';
import type { SessionBench } from './session-bench.ts';

const [BEGUN, DONE] = [commandComplete('BEGIN'), commandComplete('SELECT 1')];
const [IN_BLOCK, READY] = [readyForQuery('T'), readyForQuery('I')];

async function begin({ client, backend }: SessionBench): Promise<void> {
  client.send(query('BEGIN'));
  await received(backend, query('BEGIN'));
  backend.peer.send(BEGUN, IN_BLOCK);
  await client.expect('C', 'Z');
}

describe('a cancel that is on its way to a server', () => {
  it('does not hit what its client asks next in the same block', async (t) => {
    const bench = await openSession(t);
    const { client, backend } = bench;
    const { server, peer } = backend;
    await begin(bench);
    server.countCancel(1);
    client.send(query('SELECT 1'));
    await eventually(() => server.onCancelsDone !== undefined);
    // What is written to the server now comes before the query.
    server.socket.write(Buffer.from('before'));
    server.countCancel(-1);
    await received(backend, Buffer.from('before'), query('SELECT 1'));
    peer.send(DONE, IN_BLOCK);
    await client.expect('C', 'Z');
  });

  it('is followed by the one that its client asks for what waits because of it', async (t) => {
    const bench = await openSession(t);
    const { session, client, backend } = bench;
    const { server, peer } = backend;
    await begin(bench);
    server.countCancel(1);
    client.send(query('SELECT 1'));
    await eventually(() => server.onCancelsDone !== undefined);
    session.cancel();
    assert.equal(server.cancels, 1, 'there is nothing yet that it could cancel');
    server.countCancel(-1);
    assert.equal(server.cancels, 1);
    await received(backend, query('SELECT 1'));
    peer.send(DONE, IN_BLOCK);
    await client.expect('C', 'Z');
  });

  it('lets what was asked before go on, and what is sent ahead of that answer', async (t) => {
    const { client, backend } = await openSession(t);
    client.send(query('SELECT 1'));
    await received(backend, query('SELECT 1'));
    backend.server.countCancel(1);
    client.send(query('SELECT 2'));
    await received(backend, query('SELECT 2'));
    backend.peer.send(DONE, READY, DONE, READY);
    await client.expect('C', 'Z', 'C', 'Z');
  });
});

describe('what pgmirror does on a server connection between a client’s messages', () => {
  it('takes over the beginning of a message whose rest has not come', async (t) => {
    const { client, backend } = await openSession(t);
    const { server, peer } = backend;
    server.state.sequencesOf = {};
    const reported = parameterStatus('TimeZone', 'Asia/Tokyo');
    client.send(query('BEGIN'));
    await received(backend, query('BEGIN'));
    peer.send(BEGUN, IN_BLOCK, reported.subarray(0, 9));
    await client.expect('C', 'Z');
    client.send(query("SELECT currval('s')"));
    await received(backend, query('DISCARD SEQUENCES'));
    peer.send(reported.subarray(9), commandComplete('DISCARD SEQUENCES'), IN_BLOCK);
    await received(backend, query("SELECT currval('s')"));
    assert.equal(server.state.reported.entries.get('TimeZone'), 'Asia/Tokyo');
    peer.send(DONE, IN_BLOCK);
    await client.expect('C', 'Z');
  });
});

describe('a limit for how long a client is waited for', () => {
  const limits = { clientIdleTimeoutMs: 100, clientIdleInTransactionTimeoutMs: 100 };

  /** The client sends this, and pgmirror has it; then half of the limit passes. */
  async function sends({ session, client }: SessionBench, bytes: Buffer): Promise<void> {
    const { statistics } = session.link;
    const all = statistics.received + bytes.length;
    client.send(bytes);
    await eventually(() => statistics.received === all);
    session.sweep(50);
  }

  /** Sends this a few times, until the session ends, and tells why it did. */
  async function sendsOnAndOn(bench: SessionBench, bytes: Buffer): Promise<string | undefined> {
    for (let round = 0; round < 4 && bench.session.state !== 'leaving' && bench.session.state !== 'closed'; round++) {
      await sends(bench, bytes);
    }
    const [error] = await bench.client.expect('E');
    return error && errorFields(error).M;
  }

  const long = bind('', '', 'x'.repeat(200_000));
  const beginnings: readonly (readonly [name: string, message: Buffer])[] = [
    ['of a long message', long.subarray(0, 70_000)],
    ['of a short one', query('SELECT 1').subarray(0, 3)],
  ];
  for (const [name, beginning] of beginnings) {
    it(`is not put off by a byte now and then ${name}, in a transaction block`, async (t) => {
      const bench = await openSession(t, limits);
      await begin(bench);
      await sends(bench, beginning);
      const reason = await sendsOnAndOn(bench, Buffer.from('x'));
      assert.equal(reason, 'terminating connection due to client_idle_in_transaction_timeout');
    });
  }

  it('nor outside one, where half a query has a server connection', async (t) => {
    const bench = await openSession(t, limits);
    await sends(bench, query('x'.repeat(200_000)).subarray(0, 70_000));
    const reason = await sendsOnAndOn(bench, Buffer.from('x'));
    assert.equal(reason, 'terminating connection due to client_idle_in_transaction_timeout');
  });

  it('nor where it has none yet', async (t) => {
    const bench = await openSession(t, limits);
    await sends(bench, query('SELECT 1').subarray(0, 3));
    const reason = await sendsOnAndOn(bench, Buffer.from('x'));
    assert.equal(reason, 'terminating connection due to client_idle_timeout');
  });

  it('is not passed by who sends a long message that takes longer', async (t) => {
    const bench = await openSession(t, limits);
    await begin(bench);
    for (let at = 0; at < long.length; at += 33_000) await sends(bench, long.subarray(at, at + 33_000));
    assert.equal(bench.session.state, 'active');
  });

  it('is not passed by who has yet to read the end of an answer', async (t) => {
    const { session, client, backend, near } = await openSession(t, limits);
    client.send(query('SELECT 1'));
    await received(backend, query('SELECT 1'));
    near.cork();
    backend.peer.send(DONE, READY);
    await eventually(() => session.link.answers.quiet);
    for (let sweeps = 0; sweeps < 4; sweeps++) session.sweep(50);
    near.uncork();
    await client.expect('C', 'Z');
    await eventually(() => session.state === 'idle');
  });

  it('of a server’s answer is not put off by what the client sends meanwhile', async (t) => {
    const bench = await openSession(t, { ...limits, queryTimeoutMs: 100 });
    await sends(bench, query('SELECT pg_sleep(60)'));
    const reason = await sendsOnAndOn(bench, parse('', 'SELECT 1'));
    assert.equal(reason, 'terminating connection due to query_timeout');
  });
});

it('a client with more settings than are kept for one is closed, and its server connection is reset', async (t) => {
  const { session, client, backend } = await openSession(t);
  const settings = new ParameterSet(new Map([['my.key', 'x'.repeat(1_100_000)]]));
  backend.server.state.applied = settings;
  session.link.settings = settings;
  client.send(query('SELECT 1'));
  await received(backend, query('SELECT 1'));
  backend.peer.send(DONE, READY);
  const [, , error] = await client.expect('C', 'Z', 'E');
  assert.equal(error && errorFields(error).C, '54000');
  await received(backend, query('DISCARD ALL'));
});

describe('a client that is cut off', () => {
  const COPY = query('COPY shop FROM STDIN');
  /** CopyInResponse: text, one column. */
  const copyIn = msg('G', Buffer.from([0, 0, 1, 0, 0]));

  it('before its COPY has begun leaves none behind that waits for data', async (t) => {
    const { session, client, backend, near } = await openSession(t);
    client.send(COPY);
    await received(backend, COPY);
    near.destroy();
    await eventually(() => session.state === 'leaving');
    backend.peer.send(copyIn);
    await received(backend, copyFail('the client has gone'));
    backend.peer.send(errorResponse('57014', 'COPY from stdin failed'), READY);
    await eventually(() => session.state === 'closed');
    assert.equal(backend.server.closed, false);
  });

  it('before a COPY has begun behind which it has sent a Sync leaves no connection on which that is in doubt', async (t) => {
    const { session, client, backend, near } = await openSession(t);
    const extended = [parse('', 'COPY shop FROM STDIN'), bind('', ''), execute(''), sync];
    client.send(...extended);
    await received(backend, ...extended);
    near.destroy();
    await eventually(() => session.state === 'leaving');
    backend.peer.send(msg('1'), msg('2'), copyIn);
    await eventually(() => session.state === 'closed');
    assert.equal(backend.server.closed, true);
  });
});
