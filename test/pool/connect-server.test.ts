import assert from 'node:assert/strict';
import { once } from 'node:events';
import { mkdtemp, rm } from 'node:fs/promises';
import { createServer } from 'node:net';
import type { AddressInfo, Socket } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { describe, it } from 'node:test';
import type { TestContext } from 'node:test';
import { ScramServer } from '../../src/auth/scram-server.ts';
import { deriveScramVerifier } from '../../src/auth/scram-verifier.ts';
import { ServerPassword } from '../../src/auth/server-password.ts';
import { connectServer, ServerLoginError } from '../../src/pool/connect-server.ts';
import type { LoggedInServer, ServerLogin } from '../../src/pool/connect-server.ts';

const AUTHENTICATION_OK = 'R\0\0\0\x08\0\0\0\0';
const ASK_PLAIN = 'R\0\0\0\x08\0\0\0\x03';
const ASK_SCRAM = 'R\0\0\0\x17\0\0\0\x0aSCRAM-SHA-256\0\0';
const SERVER_VERSION = 'S\0\0\0\x19server_version\x0015.18\0';
const KEY_DATA = 'K\0\0\0\x0c\0\0\x12\x34\xde\xad\xbe\xef';
const READY = 'Z\0\0\0\x05I';
const NOTICE = 'N\0\0\0\x0dSLOG\0Mx\0\0';
const STARTUP = '\0\0\0\x38\0\x03\0\x02application_name\0test\0user\0alice\0database\0shop\0\0';

/** One connection as the scripted server sees it. */
class Peer {
  /** Also where the other end reset the connection: `once` would reject then. */
  readonly closed: Promise<void>;
  readonly #socket: Socket;
  #received = '';

  constructor(socket: Socket) {
    this.#socket = socket;
    this.closed = new Promise((resolve) => socket.once('close', () => resolve()));
    socket.on('error', () => undefined);
    socket.on('data', (chunk) => {
      this.#received += chunk.toString('latin1');
      socket.emit('received');
    });
  }

  send(text: string): void {
    this.#socket.write(text, 'latin1');
  }

  /** Sends byte by byte, each in a write of its own. */
  async trickle(text: string): Promise<void> {
    this.#socket.setNoDelay();
    for (const byte of text) await new Promise((resolve) => this.#socket.write(byte, 'latin1', resolve));
  }

  close(): void {
    this.#socket.end();
  }

  reset(): void {
    this.#socket.resetAndDestroy();
  }

  /** The next message: a StartupMessage where `hasType` is false. Throws where the other end has closed before it is whole. */
  async message(hasType = true): Promise<string> {
    const lengthAt = hasType ? 1 : 0;
    for (;;) {
      const bytes = Buffer.from(this.#received, 'latin1');
      if (bytes.length >= lengthAt + 4) {
        const end = lengthAt + bytes.readInt32BE(lengthAt);
        if (bytes.length >= end) {
          this.#received = this.#received.slice(end);
          return bytes.toString('latin1', 0, end);
        }
      }
      if (this.#socket.closed) throw new Error('closed in mid-script');
      await Promise.race([once(this.#socket, 'received'), this.closed]);
    }
  }
}

interface ScriptedServer {
  readonly port: number;
  /** What became of the script of the only connection: rejects with what went wrong in it. */
  finished(): Promise<void>;
}

/** A server that plays `script` to its first connection. The test waits for the connection to be closed by our side. */
async function scripted(context: TestContext, script: (peer: Peer) => Promise<void> | void): Promise<ScriptedServer> {
  const { promise, resolve, reject } = Promise.withResolvers<void>();
  promise.catch(() => undefined);
  const server = createServer((socket) => {
    const peer = new Peer(socket);
    const played = async (): Promise<void> => {
      await script(peer);
      await peer.closed;
    };
    played().then(resolve, reject);
  });
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  context.after(() => server.close());
  return { port: (server.address() as AddressInfo).port, finished: () => promise };
}

function login(port: number, options: Partial<ServerLogin> = {}): ServerLogin {
  return {
    address: { host: '127.0.0.1', port },
    database: 'shop',
    user: 'alice',
    password: ServerPassword.fromText('pencil'),
    parameters: { application_name: 'test' },
    timeoutMs: 10_000,
    ...options,
  };
}

async function succeed(context: TestContext, script: (peer: Peer) => Promise<void> | void): Promise<LoggedInServer> {
  const server = await scripted(context, script);
  const loggedIn = await connectServer(login(server.port));
  loggedIn.socket.destroy();
  await server.finished();
  return loggedIn;
}

/** The error of a login that must fail; the server must see its connection closed. */
async function fail(
  context: TestContext,
  script: (peer: Peer) => Promise<void> | void,
  options: Partial<ServerLogin> = {},
): Promise<ServerLoginError> {
  const server = await scripted(context, script);
  const error = await connectServer(login(server.port, options)).then(
    () => assert.fail('the login succeeded'),
    (reason: unknown) => reason,
  );
  await server.finished();
  assert.ok(error instanceof ServerLoginError);
  return error;
}

/** A script that reads the StartupMessage and then sends this at once. */
function answering(text: string): (peer: Peer) => Promise<void> {
  return async (peer) => {
    await peer.message(false);
    peer.send(text);
  };
}

describe('connecting to a server', () => {
  it('sends a StartupMessage of protocol 3.2 and collects what the server reports', async (context) => {
    let startup = '';
    const { parameters, processId, secretKey } = await succeed(context, async (peer) => {
      startup = await peer.message(false);
      peer.send(AUTHENTICATION_OK + SERVER_VERSION + 'S\0\0\0\x0eTimeZone\0\0' + KEY_DATA + READY);
    });
    assert.equal(startup, STARTUP);
    assert.deepEqual(
      [...parameters],
      [
        ['server_version', '15.18'],
        ['TimeZone', ''],
      ],
    );
    assert.equal(processId, 0x1234);
    assert.deepEqual(secretKey, Buffer.from([0xde, 0xad, 0xbe, 0xef]));
  });

  it('takes the answers byte by byte', async (context) => {
    const { parameters, processId } = await succeed(context, async (peer) => {
      await peer.message(false);
      await peer.trickle(NOTICE + AUTHENTICATION_OK + SERVER_VERSION + KEY_DATA + READY);
    });
    assert.equal(parameters.get('server_version'), '15.18');
    assert.equal(processId, 0x1234);
  });

  it('does without a cancel key', async (context) => {
    const { processId, secretKey } = await succeed(context, answering(AUTHENTICATION_OK + READY));
    assert.equal(processId, 0);
    assert.equal(secretKey.length, 0);
  });

  it('takes a cancel key of 256 bytes', async (context) => {
    const key = 'k'.repeat(256);
    const { secretKey } = await succeed(
      context,
      answering(`${AUTHENTICATION_OK}K\0\0\x01\x08\0\0\0\x01${key}${READY}`),
    );
    assert.equal(secretKey.toString(), key);
  });

  it('passes over notices, and goes along with an older minor version', async (context) => {
    for (const minor of ['\0', '\x01']) {
      const negotiate = `v\0\0\0\x0c\0\x03\0${minor}\0\0\0\0`;
      await succeed(context, answering(NOTICE + negotiate + AUTHENTICATION_OK + NOTICE + KEY_DATA + NOTICE + READY));
    }
  });

  for (const [what, body] of [
    ['a newer version', '\0\x03\0\x03\0\0\0\0'],
    ['another major version', '\0\x02\0\0\0\0\0\0'],
    ['an option that nobody asked for', '\0\x03\0\0\0\0\0\x01_pq_.x\0'],
    ['nothing', ''],
  ] as const) {
    it(`does not negotiate about ${what}`, async (context) => {
      const length = String.fromCodePoint(4 + body.length);
      const error = await fail(context, answering(`v\0\0\0${length}${body}${AUTHENTICATION_OK}${KEY_DATA}${READY}`));
      assert.match(error.message, /invalid NegotiateProtocolVersion/);
    });
  }

  it('comes again with protocol 3.0 where the server refuses what it does not know', async (context) => {
    const refusal = 'SFATAL\0C0A000\0Munsupported frontend protocol 3.2\0\0';
    const startups: string[] = [];
    const server = createServer((socket) => {
      const peer = new Peer(socket);
      void peer.message(false).then((startup) => {
        startups.push(startup.slice(4, 8));
        if (startups.length > 1) peer.send(AUTHENTICATION_OK + KEY_DATA + READY);
        else peer.send(`E\0\0\0${String.fromCodePoint(4 + refusal.length)}${refusal}`);
      });
    });
    server.listen(0, '127.0.0.1');
    await once(server, 'listening');
    context.after(() => server.close());
    const { socket } = await connectServer(login((server.address() as AddressInfo).port));
    socket.destroy();
    assert.deepEqual(startups, ['\0\x03\0\x02', '\0\x03\0\0']);
  });

  it('hands over a socket on which nothing is lost', async (context) => {
    const server = await scripted(context, async (peer) => {
      await peer.message(false);
      peer.send(AUTHENTICATION_OK + READY);
      assert.equal(await peer.message(), 'Q\0\0\0\x0dselect 1\0');
      peer.send('answer');
    });
    const { socket } = await connectServer(login(server.port));
    const answer = new Promise<string>((resolve, reject) => {
      socket.handler = { bytes: (chunk) => resolve(chunk.toString('latin1')), closed: reject };
    });
    socket.write(Buffer.from('Q\0\0\0\x0dselect 1\0'));
    assert.equal(await answer, 'answer');
    socket.destroy();
    await server.finished();
  });

  it('connects through a socket directory', async (context) => {
    const directory = await mkdtemp(join(tmpdir(), 'pgmirror-'));
    const server = createServer((socket) => {
      const peer = new Peer(socket);
      void answering(AUTHENTICATION_OK + READY)(peer);
    });
    context.after(async () => {
      server.close();
      await rm(directory, { recursive: true });
    });
    server.listen(join(directory, '.s.PGSQL.5999'));
    await once(server, 'listening');
    const { socket } = await connectServer(login(0, { address: { host: directory, port: 5999 } }));
    socket.destroy();
  });

  it('never lets a setting stand for the user or the database', async (context) => {
    let startup = '';
    const server = await scripted(context, async (peer) => {
      startup = await peer.message(false);
      peer.send(AUTHENTICATION_OK + READY);
    });
    const parameters = { user: 'postgres', database: 'secrets' };
    const { socket } = await connectServer(login(server.port, { parameters }));
    socket.destroy();
    await server.finished();
    assert.equal(startup, '\0\0\0\x22\0\x03\0\x02user\0alice\0database\0shop\0\0');
  });
});

describe('proving who we are', () => {
  it('sends a password', async (context) => {
    await succeed(context, async (peer) => {
      await peer.message(false);
      peer.send(ASK_PLAIN);
      assert.equal(await peer.message(), 'p\0\0\0\x0bpencil\0');
      peer.send(AUTHENTICATION_OK + KEY_DATA + READY);
    });
  });

  it('goes through SCRAM', async (context) => {
    await succeed(context, async (peer) => {
      await peer.message(false);
      const server = await scram(peer);
      peer.send(sasl(12, server.final((await peer.message()).slice(5)) ?? '') + AUTHENTICATION_OK + KEY_DATA + READY);
    });
  });

  it('does not finish with a server that skips its signature', async (context) => {
    const error = await fail(context, async (peer) => {
      await peer.message(false);
      await scram(peer);
      await peer.message();
      peer.send(AUTHENTICATION_OK + KEY_DATA + READY);
    });
    assert.match(error.message, /without proving that it knows the password/);
    assert.equal(error.code, '28000');
  });

  it('does not finish with a server that has another signature', async (context) => {
    const error = await fail(context, async (peer) => {
      await peer.message(false);
      await scram(peer);
      await peer.message();
      peer.send(sasl(12, `v=${'A'.repeat(43)}=`) + AUTHENTICATION_OK + KEY_DATA + READY);
    });
    assert.match(error.message, /incorrect server signature/);
  });

  it('fails where a password is asked for and none is known', async (context) => {
    const error = await fail(context, answering(ASK_PLAIN), { password: undefined });
    assert.match(error.message, /none is known for user "alice"/);
  });

  it('fails where a method is asked for that is not supported', async (context) => {
    const error = await fail(context, answering('R\0\0\0\x08\0\0\0\x07'));
    assert.match(error.message, /GSSAPI authentication, which is not supported/);
  });
});

describe('a login that fails', () => {
  it('carries the fields of the ErrorResponse', async (context) => {
    const refusal = 'E\0\0\0\x35SFATAL\0VFATAL\0C3D000\0Mdatabase "shop" not there\0\0';
    for (const before of ['', AUTHENTICATION_OK, AUTHENTICATION_OK + SERVER_VERSION]) {
      const error = await fail(context, answering(before + refusal));
      assert.equal(error.code, '3D000');
      assert.equal(error.fields?.severity, 'FATAL');
      assert.equal(error.fields.message, 'database "shop" not there');
      assert.match(error.message, /^login to 127\.0\.0\.1:\d+ as user "alice", database "shop": database "shop" not/);
    }
  });

  it('copes with an ErrorResponse that lacks fields or is cut short', async (context) => {
    for (const refusal of [
      'E\0\0\0\x04',
      'E\0\0\0\x05\0',
      'E\0\0\0\x08SFAT',
      'E\0\0\0\x06M\0',
      'E\0\0\0\x08\0\0\0\0',
    ]) {
      const error = await fail(context, answering(refusal));
      assert.notEqual(error.fields, undefined);
      assert.match(error.message, /missing error text|: $/);
    }
  });

  it('names the cause where nobody listens', async () => {
    const server = createServer().listen(0, '127.0.0.1');
    await once(server, 'listening');
    const { port } = server.address() as AddressInfo;
    server.close();
    await once(server, 'close');
    const error: unknown = await connectServer(login(port)).catch((reason: unknown) => reason);
    assert.ok(error instanceof ServerLoginError);
    assert.equal(error.code, undefined);
    assert.equal(error.fields, undefined);
    assert.equal((error.cause as NodeJS.ErrnoException).code, 'ECONNREFUSED');
  });

  it('ends when the server closes, at whatever point', async (context) => {
    for (const before of [
      '',
      'R',
      ASK_PLAIN,
      AUTHENTICATION_OK,
      AUTHENTICATION_OK + 'S\0\0',
      AUTHENTICATION_OK + KEY_DATA,
    ]) {
      const error = await fail(context, async (peer) => {
        await peer.message(false);
        peer.send(before);
        peer.close();
      });
      assert.equal(error.code, undefined);
      assert.match(error.message, /closed the connection/);
    }
  });

  it('hears why the server closed, even while keys are derived', async (context) => {
    const error = await fail(context, async (peer) => {
      await peer.message(false);
      peer.send(ASK_SCRAM);
      const nonce = /r=(.*)$/.exec(await peer.message())?.[1] ?? '';
      peer.send(sasl(11, `r=${nonce}x,s=QUJD,i=200000`) + 'E\0\0\0\x0fC57P01\0Mx\0\0');
      peer.close();
    });
    assert.equal(error.code, '57P01');
  });

  it('ends when the server resets the connection', async (context) => {
    const error = await fail(context, async (peer) => {
      await peer.message(false);
      peer.reset();
    });
    assert.equal((error.cause as NodeJS.ErrnoException).code, 'ECONNRESET');
  });

  it('has one deadline over everything, however busy the server looks', async (context) => {
    const scripts: ((peer: Peer) => Promise<void> | void)[] = [
      () => undefined,
      answering(ASK_PLAIN),
      answering(AUTHENTICATION_OK + SERVER_VERSION),
      (peer) => {
        const timer = setInterval(() => peer.send(NOTICE), 5);
        void peer.closed.then(() => clearInterval(timer));
      },
    ];
    for (const script of scripts) {
      const error = await fail(context, script, { timeoutMs: 250 });
      assert.equal((error.cause as NodeJS.ErrnoException).code, 'ETIMEDOUT');
    }
  });

  it('keeps its deadline while keys are derived', async (context) => {
    const password = ServerPassword.fromText('pencil');
    let isDeriving = false;
    password.scramKeys = async () => {
      isDeriving = true;
      return new Promise<never>(() => undefined);
    };
    const error = await fail(
      context,
      async (peer) => {
        await peer.message(false);
        peer.send(ASK_SCRAM);
        const nonce = /r=(.*)$/.exec(await peer.message())?.[1] ?? '';
        peer.send(sasl(11, `r=${nonce}x,s=QUJD,i=4096`));
      },
      { password, timeoutMs: 500 },
    );
    assert.ok(isDeriving);
    assert.equal((error.cause as NodeJS.ErrnoException).code, 'ETIMEDOUT');
  });

  it('refuses what does not belong into a login', async (context) => {
    const refused: [text: string, message: RegExp][] = [
      ['X\0\0\0\x04', /unexpected message type 0x58/],
      ['D\0\0\0\x06\0\0', /unexpected message type 0x44/],
      [SERVER_VERSION, /unexpected message type 0x53/],
      [READY, /unexpected message type 0x5a/],
      [`${AUTHENTICATION_OK}T\0\0\0\x06\0\0`, /unexpected message type 0x54/],
      [AUTHENTICATION_OK + AUTHENTICATION_OK, /unexpected message type 0x52/],
      ['HTTP/1.1 400 Bad Request\r\n\r\n', /invalid message length/],
      ['R\0\0\0\x03', /invalid message length/],
      ['R\xff\xff\xff\xff', /invalid message length/],
      ['R\x7f\xff\xff\xff', /invalid message length/],
      ['R\0\0\0\x04', /invalid length of authentication request/],
      [`${AUTHENTICATION_OK}S\0\0\0\x06ab`, /invalid ParameterStatus/],
      [`${AUTHENTICATION_OK}S\0\0\0\x08a\0bc`, /invalid ParameterStatus/],
      [`${AUTHENTICATION_OK}S\0\0\0\x09a\0b\0c`, /invalid ParameterStatus/],
      [`${AUTHENTICATION_OK}K\0\0\0\x08\0\0\0\0`, /invalid BackendKeyData/],
      [`${AUTHENTICATION_OK}K\0\0\x01\x09\0\0\0\0${'k'.repeat(257)}`, /invalid BackendKeyData/],
      [`${AUTHENTICATION_OK}Z\0\0\0\x05T`, /invalid ReadyForQuery/],
      [`${AUTHENTICATION_OK}Z\0\0\0\x04`, /invalid ReadyForQuery/],
    ];
    for (const [text, message] of refused) {
      const error = await fail(context, answering(text));
      assert.match(error.message, message, JSON.stringify(text));
      assert.equal(error.code, '08P01');
    }
  });

  it('refuses whatever follows ReadyForQuery, a part of a message included', async (context) => {
    for (const behind of ['D', NOTICE, READY, 'C\0\0\0\x0dSELECT 1\0']) {
      const error = await fail(context, answering(AUTHENTICATION_OK + KEY_DATA + READY + behind));
      assert.match(error.message, /more than the end of its login/);
      assert.equal(error.code, '08P01');
    }
  });

  it('takes no more than a bounded number of bytes', async (context) => {
    const error = await fail(context, answering(AUTHENTICATION_OK + NOTICE.repeat(20_000)));
    assert.match(error.message, /too much before the login is over/);
  });

  it('does not even connect with a zero byte in a name', async (context) => {
    let connections = 0;
    const server = createServer(() => connections++).listen(0, '127.0.0.1');
    context.after(() => server.close());
    await once(server, 'listening');
    const { port } = server.address() as AddressInfo;
    for (const options of [{ user: 'alice\0x' }, { database: 'shop\0' }, { parameters: { 'a\0b': 'c' } }]) {
      await assert.rejects(connectServer(login(port, options)), ServerLoginError);
    }
    assert.equal(connections, 0);
  });

  it('never shows the password', async (context) => {
    const error = await fail(context, answering('X\0\0\0\x04'), { user: 'alice' });
    assert.doesNotMatch(`${error.message} ${error.stack} ${JSON.stringify(error)}`, /pencil/);
  });
});

/** An Authentication message with SASL data. */
function sasl(kind: number, data: string): string {
  const message = Buffer.from(`R\0\0\0\0\0\0\0${String.fromCharCode(kind)}${data}`, 'latin1');
  message.writeInt32BE(message.length - 1, 1);
  return message.toString('latin1');
}

/** Asks for SCRAM and sends the challenge; what comes next is the client's proof. */
async function scram(peer: Peer): Promise<ScramServer> {
  const server = new ScramServer({ verifier: await deriveScramVerifier(Buffer.from('pencil')) });
  peer.send(ASK_SCRAM);
  const initial = await peer.message();
  peer.send(sasl(11, server.first('SCRAM-SHA-256', initial.slice(initial.indexOf('n,,')))));
  return server;
}
