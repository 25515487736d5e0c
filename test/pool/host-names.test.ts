import assert from 'node:assert/strict';
import dns from 'node:dns';
import { describe, it } from 'node:test';
import type { TestContext } from 'node:test';
import { ServerSocket } from '../../src/net/server-socket.ts';
import { connectServer } from '../../src/pool/connect-server.ts';
import { deliverCancel } from '../../src/pool/deliver-cancel.ts';
import { eventually } from '../support/eventually.ts';
import { acceptLogin, ScriptedPostgres, waitForClose } from '../support/scripted-postgres.ts';
import { PoolBench } from './pool-bench.ts';

const NAME = 'primary.db.example';
/** On loopback, and nobody listens there. */
const NOBODY = '127.0.0.9';

/** Has the resolver of this process answer for NAME: each time with the next list of addresses, the last one for ever. */
function resolve(t: TestContext, ...answers: readonly (readonly string[])[]): { readonly asked: number } {
  const lookup = t.mock.method(dns, 'lookup', ((name: string, options: dns.LookupOptions, callback: Answered) => {
    assert.equal(name, NAME);
    const addresses = answers[Math.min(lookup.mock.callCount(), answers.length - 1)] ?? [];
    const [first = ''] = addresses;
    if (options.all === true)
      callback(
        null,
        addresses.map((address) => ({ address, family: 4 })),
      );
    else callback(null, first, 4);
  }) as typeof dns.lookup);
  return {
    get asked() {
      return lookup.mock.callCount();
    },
  };
}

type Answered = (error: null, address: string | readonly dns.LookupAddress[], family?: number) => void;

async function serverFor(t: TestContext): Promise<ScriptedPostgres> {
  return ScriptedPostgres.start(t, [acceptLogin(), waitForClose()]);
}

describe('a name that stands for several machines, or for another one by now', () => {
  it('is resolved for every connection that is opened', async (t) => {
    const server = await serverFor(t);
    const resolver = resolve(t, [NOBODY], ['127.0.0.1']);
    const bench = new PoolBench(t, server.port, { size: 3 });
    const { login } = bench.options;
    bench.pool.reconfigure({ ...bench.options, login: { ...login, address: { host: NAME, port: server.port } } });
    const late = bench.ask('too early');
    await eventually(() => late.error !== undefined);
    assert.match(late.error?.message ?? '', /ECONNREFUSED 127\.0\.0\.9/);
    const servers = [await bench.get(), await bench.get(), await bench.get()];
    assert.deepEqual([server.connections, resolver.asked], [3, 4]);
    assert.deepEqual(
      servers.map(({ socket }) => socket.address),
      servers.map(() => ({ host: NAME, port: server.port, ip: '127.0.0.1' })),
    );
  });

  it('has its machines tried one after the other', async (t) => {
    const server = await serverFor(t);
    resolve(t, [NOBODY, '127.0.0.1']);
    const socket = await ServerSocket.connect({ host: NAME, port: server.port }, { timeoutMs: 10_000 });
    t.after(() => socket.destroy());
    assert.equal(socket.address.ip, '127.0.0.1');
  });

  it('says of each machine why none could be connected to', async (t) => {
    const server = await serverFor(t);
    resolve(t, [NOBODY, '127.0.0.8']);
    await assert.rejects(ServerSocket.connect({ host: NAME, port: server.port }, { timeoutMs: 10_000 }), {
      code: 'ECONNREFUSED',
      message: new RegExp(`ECONNREFUSED 127\\.0\\.0\\.9:${server.port}; .*ECONNREFUSED 127\\.0\\.0\\.8:${server.port}`),
    });
  });

  it('has a CancelRequest go to the machine that runs what is to be cancelled', async (t) => {
    const cancelled = Promise.withResolvers<void>();
    const server = await ScriptedPostgres.start(t, [acceptLogin(), waitForClose()], [() => cancelled.resolve()]);
    const resolver = resolve(t, ['127.0.0.1'], [NOBODY]);
    const { login } = new PoolBench(t, server.port).options;
    const loggedIn = await connectServer({ ...login, address: { host: NAME, port: server.port } });
    t.after(() => loggedIn.socket.destroy());
    const { socket, processId, secretKey } = loggedIn;
    await deliverCancel({ address: socket.address, encryption: undefined, processId, secretKey }, 10_000);
    await cancelled.promise;
    assert.equal(resolver.asked, 1);
  });
});
