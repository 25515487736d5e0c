import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import type { TestContext } from 'node:test';
import { connectServer } from '../../src/pool/connect-server.ts';
import { ServerConnection } from '../../src/pool/server-connection.ts';
import {
  commandComplete,
  errorResponse,
  msg,
  parameterStatus,
  readyForQuery,
  splitMessages,
  terminate,
} from '../support/bytes.ts';
import { eventually } from '../support/eventually.ts';
import type { MessageSocket } from '../support/message-socket.ts';
import { acceptLogin, ScriptedPostgres, until } from '../support/scripted-postgres.ts';

/** A server connection, the other end of it, and what its owner and user were told. */
async function connection(t: TestContext) {
  const peer = Promise.withResolvers<MessageSocket>();
  const over = Promise.withResolvers<void>();
  const postgres = await ScriptedPostgres.start(t, [
    acceptLogin(),
    (socket) => peer.resolve(socket),
    until(over.promise),
  ]);
  const login = { database: 'shop', user: 'anna', password: undefined, parameters: {}, timeoutMs: 10_000 };
  const loggedIn = await connectServer({ address: { host: '127.0.0.1', port: postgres.port }, ...login });
  const parameters: string[] = [];
  const closings: string[] = [];
  const server = new ServerConnection(
    loggedIn,
    'state',
    (name, value) => void parameters.push(`${name} = ${value}`),
    (_closed, reason) => void closings.push(reason),
  );
  t.after(() => {
    server.close('shutdown');
    over.resolve();
  });
  return { server, peer: await peer.promise, parameters, closings };
}

/** A user of a connection that notes what it is given. */
function user() {
  const chunks: Buffer[] = [];
  const lost: string[] = [];
  return {
    lostReasons: lost,
    received: (): Buffer => Buffer.concat(chunks),
    bytes: (chunk: Buffer): void => void chunks.push(Buffer.from(chunk)),
    lost: (reason: string): void => void lost.push(reason),
  };
}

const NOTICE = msg('N', Buffer.from('SNOTICE\0\0'));

describe('a server connection that somebody uses', () => {
  it('gives its user every byte', async (t) => {
    const { server, peer } = await connection(t);
    const one = user();
    server.setUser(one);
    peer.send(NOTICE, commandComplete('SELECT 1'), readyForQuery('I').subarray(0, 3));
    const expected = Buffer.concat([NOTICE, commandComplete('SELECT 1'), readyForQuery('I').subarray(0, 3)]);
    await eventually(() => one.received().length === expected.length);
    assert.deepEqual([one.received(), server.user], [expected, one]);
  });

  it('tells its user that it was lost, after its owner', async (t) => {
    const { server, peer, closings } = await connection(t);
    const one = user();
    server.setUser({ ...one, lost: (reason) => one.lost(`${closings.join()}: ${reason}`) });
    peer.socket.destroy();
    await eventually(() => one.lostReasons.length > 0);
    assert.deepEqual([one.lostReasons, server.closed], [['lost: server closed the connection unexpectedly'], true]);
    server.close('unclean');
    assert.deepEqual(closings, ['lost']);
  });

  it('is closed without a word to its user, once', async (t) => {
    const { server, peer, closings } = await connection(t);
    const one = user();
    server.setUser(one);
    server.close('unclean');
    server.close('shutdown');
    await peer.waitForClose();
    assert.deepEqual([closings, one.lostReasons, server.closed, server.user], [['unclean'], [], true, undefined]);
  });
});

describe('a server connection that is closed', () => {
  it('says good-bye where it is idle', async (t) => {
    const { server, peer } = await connection(t);
    server.close('idle_timeout');
    await peer.waitForClose();
    assert.deepEqual(peer.unread, terminate);
  });

  it('says nothing in a transaction, or to a server that broke the protocol', async (t) => {
    for (const reason of ['unclean', 'protocol_error'] as const) {
      const { server, peer } = await connection(t);
      if (reason === 'unclean') server.status = 'T'.charCodeAt(0);
      server.close(reason);
      await peer.waitForClose();
      assert.equal(peer.unread.length, 0);
    }
  });

  it('is gone although the server does not read', async (t) => {
    const { server, peer } = await connection(t);
    peer.socket.pause();
    const block = Buffer.alloc(1_000_000);
    while (server.socket.write(block)) continue;
    server.close('shutdown');
    peer.socket.resume();
    await peer.waitForClose();
    assert.notDeepEqual(peer.unread.subarray(-terminate.length), terminate);
  });
});

describe('a server connection that is idle', () => {
  it('takes in notices and changed parameters, in whatever pieces', async (t) => {
    const { server, peer, parameters } = await connection(t);
    for (const byte of Buffer.concat([NOTICE, parameterStatus('TimeZone', 'Asia/Tokyo'), msg('A', Buffer.from('x'))])) {
      peer.send(Buffer.from([byte]));
    }
    peer.send(parameterStatus('in_hot_standby', 'on'));
    await eventually(() => parameters.length === 2);
    assert.deepEqual([parameters, server.closed], [['TimeZone = Asia/Tokyo', 'in_hot_standby = on'], false]);
  });

  it('is lost with an error, whoever sends it', async (t) => {
    const { peer, closings } = await connection(t);
    peer.send(errorResponse('57P01', 'terminating connection due to administrator command', 'FATAL'));
    await eventually(() => closings.length > 0);
    assert.deepEqual(closings, ['lost']);
    await peer.waitForClose();
  });

  it('is closed when something comes that nobody asked for', async (t) => {
    for (const bytes of [
      readyForQuery('I'),
      commandComplete('SELECT 1'),
      Buffer.from('Z\0\0\0\0'),
      Buffer.from('N\x7f\0\0\0', 'latin1'),
    ]) {
      const { peer, closings } = await connection(t);
      peer.send(bytes);
      await eventually(() => closings.length > 0);
      assert.deepEqual(closings, ['protocol_error']);
    }
  });

  it('does not give the next user the second half of a message', async (t) => {
    const { server, peer, closings } = await connection(t);
    const witness = await connection(t);
    const message = parameterStatus('TimeZone', 'Asia/Tokyo');
    peer.send(message.subarray(0, 9));
    witness.peer.send(parameterStatus('x', 'y'));
    await eventually(() => witness.parameters.length === 1);
    const one = user();
    if (!server.closed) server.setUser(one);
    peer.send(message.subarray(9), commandComplete('SELECT 1'));
    await eventually(() => closings.length > 0 || one.received().length >= commandComplete('SELECT 1').length);
    const { messages } = splitMessages(one.received());
    assert.ok(closings.length > 0 || 'SC'.includes(messages[0]?.type ?? '?'), one.received().toString('latin1'));
  });
});

describe('cancels on their way to a server connection', () => {
  it('are counted, and the last that arrives is told once', async (t) => {
    const { server } = await connection(t);
    let told = 0;
    server.countCancel(1);
    server.countCancel(1);
    server.onCancelsDone = () => void told++;
    server.countCancel(-1);
    assert.equal(told, 0);
    server.countCancel(-1);
    server.countCancel(1);
    server.countCancel(-1);
    assert.deepEqual([told, server.cancels], [1, 0]);
  });

  it('are waited for with what the server says taken in: the next user gets whole messages', async (t) => {
    const { server, peer, parameters } = await connection(t);
    const one = user();
    server.countCancel(1);
    server.awaitCancels(() => server.setUser(one));
    const message = parameterStatus('TimeZone', 'Asia/Tokyo');
    peer.send(parameterStatus('x', 'y'), message.subarray(0, 9));
    await eventually(() => parameters.length === 1);
    server.countCancel(-1);
    peer.send(message.subarray(9));
    await eventually(() => one.received().equals(message));
  });
});
