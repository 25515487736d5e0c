import assert from 'node:assert/strict';
import { once } from 'node:events';
import { createServer } from 'node:net';
import { describe, it } from 'node:test';
import type { TestContext } from 'node:test';
import { secretBytes, type CancelKey } from '../../src/protocol/cancel-key.ts';
import { md5Hash, md5Response } from '../../src/auth/md5.ts';
import { deriveUserSecret } from '../../src/auth/user-secret.ts';
import { ClientSocket } from '../../src/net/client-socket.ts';
import { Startup } from '../../src/pooler/startup.ts';
import type { LoginRequest, LookedUp, StartupFailure, StartupHost } from '../../src/pooler/startup.ts';
import {
  cancelRequest,
  cstr,
  errorFields,
  errorResponse,
  int32,
  msg,
  query,
  sslRequest,
  startup,
  untyped,
} from '../support/bytes.ts';
import { eventually } from '../support/eventually.ts';
import type { MessageSocket } from '../support/message-socket.ts';
import { WireClient } from '../support/wire-client.ts';

const GSSENC_REQUEST = untyped(int32(80877104));
const N = Buffer.from('N');
const SECRET = await deriveUserSecret({ userName: 'anna', password: 'pencil' });
const TRUST: LookedUp = { authType: 'trust', secret: SECRET };

/** A listener whose startups tell here what they come to. */
class StartupBench implements StartupHost {
  readonly mockSecret = Buffer.alloc(32, 1);
  readonly logins: LoginRequest[] = [];
  readonly backlogs: string[] = [];
  readonly cancels: string[] = [];
  readonly failures: (StartupFailure | undefined)[] = [];
  /** When others have taken a CancelRequest. */
  taken: Promise<void> | undefined;
  lookedUp: LookedUp | Promise<LookedUp> = TRUST;
  asked = 0;
  inVain = 0;
  failuresBefore = false;
  startup: Startup | undefined;

  lookUp(): LookedUp | Promise<LookedUp> {
    this.asked++;
    return this.lookedUp;
  }

  tooManyFailures(): boolean {
    return this.failuresBefore;
  }

  cancel(key: CancelKey): Promise<void> | undefined {
    this.cancels.push(`${key.processId} ${secretBytes(key).toString('hex')}`);
    return this.taken;
  }

  loggedIn(_client: ClientSocket, request: LoginRequest, backlog: Buffer): void {
    this.logins.push(request);
    this.backlogs.push(backlog.toString('latin1'));
  }

  askedInVain(): void {
    this.inVain++;
  }

  over(failure?: StartupFailure): void {
    this.failures.push(failure);
  }

  /** A client that has connected, and said nothing yet. */
  async connect(t: TestContext, timeoutMs = 10_000): Promise<WireClient> {
    const server = createServer({ noDelay: true, allowHalfOpen: true }, (socket) => {
      t.after(() => socket.destroy());
      const tls = { acceptor: undefined, required: false };
      this.startup = new Startup(new ClientSocket(socket), this, { timeoutMs, tls });
    });
    server.listen(0, '127.0.0.1');
    await once(server, 'listening');
    const address = server.address();
    assert.ok(typeof address === 'object' && address !== null);
    const client = await WireClient.connect({ host: '127.0.0.1', port: address.port });
    t.after(async () => {
      await client.destroy();
      server.close();
    });
    await eventually(() => this.startup !== undefined, { intervalMs: 1 });
    return client;
  }
}

async function refusal(client: MessageSocket): Promise<{ code: string | undefined; text: string | undefined }> {
  const [error] = await client.expect('E');
  const { S, C, M } = errorFields(error!);
  assert.equal(S, 'FATAL');
  await client.waitForClose();
  assert.equal(client.unread.length, 0);
  return { code: C, text: M };
}

describe('a connection that asks for encryption', () => {
  it('is told that there is none, once for each kind, and goes on in plain text', async (t) => {
    const bench = new StartupBench();
    const client = await bench.connect(t);
    client.send(GSSENC_REQUEST);
    assert.deepEqual(await client.readBytes(1), N);
    client.send(sslRequest);
    assert.deepEqual(await client.readBytes(1), N);
    client.send(startup({ user: 'anna' }));
    await eventually(() => bench.logins.length === 1);
  });

  it('twice is refused', async (t) => {
    const bench = new StartupBench();
    const client = await bench.connect(t);
    client.send(sslRequest);
    await client.readBytes(1);
    client.send(sslRequest);
    assert.equal((await refusal(client)).code, '0A000');
    assert.deepEqual(bench.logins, []);
  });

  it('and does not wait for the answer is refused: somebody may have put bytes in (CVE-2021-23214)', async (t) => {
    const bench = new StartupBench();
    const client = await bench.connect(t);
    client.send(sslRequest, startup({ user: 'anna' }));
    const { code, text } = await refusal(client);
    assert.deepEqual([code, text], ['08P01', 'received unencrypted data after SSL request']);
    assert.deepEqual(bench.logins, []);
  });
});

describe('a CancelRequest', () => {
  it('is passed on, and answered by closing without a word', async (t) => {
    const bench = new StartupBench();
    const client = await bench.connect(t);
    client.send(cancelRequest(4711, Buffer.from([0xca, 0xfe, 0, 1])));
    await client.waitForClose();
    assert.deepEqual([bench.cancels, bench.failures, client.unread.length], [['4711 cafe0001'], [undefined], 0]);
  });

  it('is closed when the CancelRequest that it brought has been taken by all', async (t) => {
    const bench = new StartupBench();
    const taken = Promise.withResolvers<void>();
    bench.taken = taken.promise;
    const client = await bench.connect(t);
    client.send(cancelRequest(4711, Buffer.from([0xca, 0xfe, 0, 1])));
    await eventually(() => bench.cancels.length === 1);
    assert.deepEqual(bench.failures, []);
    taken.resolve();
    await client.waitForClose();
    assert.deepEqual(bench.failures, [undefined]);
  });
});

describe('a StartupMessage', () => {
  it('tells who logs in to what, with which settings', async (t) => {
    const bench = new StartupBench();
    const client = await bench.connect(t);
    client.send(startup({ user: 'anna', database: 'shop', application_name: 'till', options: '-c work_mem=4MB' }));
    await client.expect('R');
    const [request] = bench.logins;
    assert.deepEqual([request?.user, request?.database, request?.replication], ['anna', 'shop', 'none']);
    assert.deepEqual(
      [...request!.settings],
      [
        ['work_mem', '4MB'],
        ['application_name', 'till'],
      ],
    );
  });

  it('may come byte by byte', async (t) => {
    const bench = new StartupBench();
    const client = await bench.connect(t);
    for (const byte of startup({ user: 'anna', database: 'shop' })) client.send(Buffer.from([byte]));
    await client.expect('R');
    assert.equal(bench.logins[0]?.database, 'shop');
  });

  it('without a database, or with an empty one, means that of the user', async (t) => {
    for (const parameters of [{ user: 'anna' }, { user: 'anna', database: '' }]) {
      const bench = new StartupBench();
      const client = await bench.connect(t);
      client.send(startup(parameters));
      await client.expect('R');
      assert.equal(bench.logins[0]?.database, 'anna');
    }
  });

  for (const [value, expected] of [
    ['true', 'physical'],
    ['TR', 'physical'],
    ['1', 'physical'],
    ['database', 'logical'],
    ['off', 'none'],
    ['No', 'none'],
  ] as const) {
    it(`with replication = ${value} asks for this kind of replication: ${expected}`, async (t) => {
      const bench = new StartupBench();
      const client = await bench.connect(t);
      client.send(startup({ user: 'anna', replication: value }));
      await client.expect('R');
      assert.equal(bench.logins[0]?.replication, expected);
    });
  }

  it('of a newer minor version, or with unknown protocol options, is told what is spoken', async (t) => {
    const bench = new StartupBench();
    const client = await bench.connect(t);
    client.send(startup({ user: 'anna', '_pq_.new': '1' }, 0x30003));
    const [negotiate] = await client.expect('v', 'R');
    assert.deepEqual(negotiate!.bytes, msg('v', int32(0x30002), int32(1), cstr('_pq_.new')));
    assert.deepEqual([...bench.logins[0]!.settings], []);
    assert.equal(bench.logins[0]?.protocolVersion, 0x30002);
  });

  it('may have the first query behind it: that goes to the session', async (t) => {
    const bench = new StartupBench();
    const client = await bench.connect(t);
    client.send(startup({ user: 'anna' }), query('select 1').subarray(0, 7));
    await client.expect('R');
    assert.deepEqual(bench.backlogs, [query('select 1').toString('latin1', 0, 7)]);
  });

  const refused: readonly (readonly [string, Buffer, string])[] = [
    ['has no user', startup({ database: 'shop' }), '28000'],
    ['has an empty user', startup({ user: '' }), '28000'],
    ['asks for a replication that there is not', startup({ user: 'anna', replication: 'Database' }), '22023'],
    ['is of protocol 2.0', startup({ user: 'anna' }, 0x20000), '0A000'],
    ['is not well-formed', untyped(int32(0x30000), Buffer.from('user')), '08P01'],
    ['has options that mean nothing', startup({ user: 'anna', options: '--nonsense' }), '42601'],
  ];
  for (const [what, packet, code] of refused) {
    it(`is refused where it ${what}`, async (t) => {
      const bench = new StartupBench();
      const client = await bench.connect(t);
      client.send(packet);
      assert.equal((await refusal(client)).code, code);
      assert.deepEqual([bench.logins, bench.failures.length], [[], 1]);
    });
  }

  it('of a length that cannot be has the connection closed without a word', async (t) => {
    const bench = new StartupBench();
    const client = await bench.connect(t);
    client.send(Buffer.from('GET / HTTP/1.1\r\n\r\n'));
    await client.waitForClose();
    assert.deepEqual([client.unread.length, bench.failures], [0, [undefined]]);
  });
});

describe('proving who it is', () => {
  async function withPassword(t: TestContext): Promise<{ bench: StartupBench; client: WireClient }> {
    const bench = new StartupBench();
    bench.lookedUp = { authType: 'plain', secret: SECRET };
    return { bench, client: await bench.connect(t) };
  }

  it('leads to the login, and what came behind the password to the session', async (t) => {
    const { bench, client } = await withPassword(t);
    client.send(startup({ user: 'anna' }));
    await client.expect('R');
    client.send(msg('p', cstr('pencil')));
    await eventually(() => bench.logins.length === 1);
    assert.deepEqual(bench.failures, []);
  });

  it('fails with a wrong password, and the failure is told', async (t) => {
    const { bench, client } = await withPassword(t);
    client.send(startup({ user: 'anna', database: 'shop' }));
    await client.expect('R');
    client.send(msg('p', cstr('wrong')));
    assert.deepEqual(await refusal(client), { code: '28P01', text: 'password authentication failed for user "anna"' });
    const [failure] = bench.failures;
    assert.deepEqual(
      [failure?.user, failure?.database, failure?.unproven, bench.logins.length],
      ['anna', 'shop', true, 0],
    );
  });

  it('has no room for long messages, or for others than passwords', async (t) => {
    for (const [bytes, text] of [
      [Buffer.from('p\0\x01\0\0', 'latin1'), /^invalid message length/],
      [query('select 1'), /^expected password response/],
    ] as const) {
      const { bench, client } = await withPassword(t);
      client.send(startup({ user: 'anna' }));
      await client.expect('R');
      client.send(bytes);
      const refused = await refusal(client);
      assert.match(refused.code ?? '', /^(?:08P01|28000)$/);
      assert.match(refused.text ?? '', text);
      assert.equal(bench.logins.length, 0);
    }
  });

  it('does not help who is not known, even where everybody is trusted', async (t) => {
    const bench = new StartupBench();
    bench.lookedUp = { authType: 'trust', secret: undefined };
    const client = await bench.connect(t);
    client.send(startup({ user: 'anna' }));
    assert.equal((await refusal(client)).code, '28000');
  });

  it('waits until it is known who is meant, and is refused where that cannot be found out', async (t) => {
    const bench = new StartupBench();
    const found = Promise.withResolvers<LookedUp>();
    bench.lookedUp = found.promise;
    const client = await bench.connect(t);
    client.send(startup({ user: 'anna' }));
    found.resolve(TRUST);
    await client.expect('R');
    const other = new StartupBench();
    const unknown = Promise.withResolvers<LookedUp>();
    other.lookedUp = unknown.promise;
    const refusedClient = await other.connect(t);
    refusedClient.send(startup({ user: 'anna' }));
    await eventually(() => other.asked > 0, { intervalMs: 1 });
    unknown.reject(new Error('the server is down'));
    assert.equal((await refusal(refusedClient)).code, '08006');
  });

  it('is not even asked for where too many from that address have failed', async (t) => {
    const bench = new StartupBench();
    bench.failuresBefore = true;
    const client = await bench.connect(t);
    client.send(startup({ user: 'anna' }));
    assert.equal((await refusal(client)).code, '28000');
    assert.equal(bench.failures[0]?.unproven, false);
  });
});

describe('whoever makes a database be asked', () => {
  const ways: readonly [string, (client: WireClient) => void][] = [
    ['leaves', (client) => client.socket.destroy()],
    ['ends what it sends', (client) => client.socket.end()],
    ['sends something else than a password', (client) => client.send(query('SELECT 1'))],
    ['lets the time pass', () => undefined],
  ];
  for (const [what, leave] of ways) {
    it(`and ${what}, instead of proving who it is, has asked in vain`, async (t) => {
      for (const asked of [true, false]) {
        const bench = new StartupBench();
        bench.lookedUp = Promise.resolve({ authType: 'scram', secret: SECRET, asked });
        const client = await bench.connect(t, what === 'lets the time pass' ? 100 : 10_000);
        client.send(startup({ user: 'anna' }));
        await client.expect('R');
        leave(client);
        await eventually(() => bench.failures.length > 0);
        assert.deepEqual([bench.inVain, bench.failures], [asked ? 1 : 0, [undefined]]);
      }
    });
  }

  it('and then proves who it is, or fails to, has not', async (t) => {
    for (const password of ['pencil', 'wrong']) {
      const bench = new StartupBench();
      bench.lookedUp = Promise.resolve({ authType: 'plain', secret: SECRET, asked: true });
      const client = await bench.connect(t);
      client.send(startup({ user: 'anna' }));
      await client.expect('R');
      client.send(msg('p', cstr(password)));
      await eventually(() => bench.logins.length + bench.failures.length > 0);
      await client.destroy();
      assert.deepEqual([bench.inVain, bench.logins.length], [0, password === 'pencil' ? 1 : 0]);
    }
  });
});

describe('guesses that were begun before too many from their address had failed', () => {
  for (const authType of ['plain', 'md5'] as const) {
    it(`come to nothing, right or wrong: ${authType}`, async (t) => {
      for (const right of [true, false]) {
        const bench = new StartupBench();
        bench.lookedUp = { authType, secret: SECRET };
        const client = await bench.connect(t);
        client.send(startup({ user: 'anna' }));
        const [asked] = await client.expect('R');
        bench.failuresBefore = true;
        const password = right ? 'pencil' : 'wrong';
        const salt = asked!.body.subarray(4);
        const sent = authType === 'plain' ? password : md5Response(md5Hash(password, 'anna'), salt);
        client.send(msg('p', cstr(sent)));
        assert.deepEqual(await refusal(client), {
          code: '28000',
          text: 'too many failed logins from this address, try again later',
        });
        assert.deepEqual([bench.logins.length, bench.failures.length, bench.failures[0]?.unproven], [0, 1, false]);
      }
    });
  }
});

describe('a login that takes too long', () => {
  it('is ended, however far it has come', async (t) => {
    for (const sent of [Buffer.alloc(0), startup({ user: 'anna' })]) {
      const bench = new StartupBench();
      bench.lookedUp = { authType: 'plain', secret: undefined };
      const client = await bench.connect(t, 50);
      if (sent.length > 0) {
        client.send(sent);
        await client.expect('R');
      }
      assert.equal((await refusal(client)).text, 'canceling authentication due to timeout');
      assert.equal(bench.failures.length, 1);
    }
  });

  it('is none where it is over', async (t) => {
    const bench = new StartupBench();
    const client = await bench.connect(t);
    client.send(startup({ user: 'anna' }));
    await client.expect('R');
    bench.startup!.refuse('57P03', 'shutting down');
    client.send(query('select 1'));
    assert.deepEqual([bench.failures, client.unread.length], [[], 0]);
  });
});

describe('a client that leaves before its login', () => {
  it('is over, once', async (t) => {
    const bench = new StartupBench();
    const client = await bench.connect(t);
    client.send(startup({ user: 'anna' }).subarray(0, 6));
    await client.reset();
    await eventually(() => bench.failures.length === 1);
    bench.startup!.refuse('57P03', 'shutting down');
    assert.equal(bench.failures.length, 1);
  });

  it('is told why where pgmirror ends it', async (t) => {
    const bench = new StartupBench();
    const client = await bench.connect(t);
    bench.startup!.refuse('57P03', 'shutting down');
    const expected = errorResponse('57P03', 'shutting down', 'FATAL');
    assert.deepEqual(await client.readBytes(expected.length), expected);
    await client.waitForClose();
  });
});
