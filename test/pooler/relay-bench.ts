import assert from 'node:assert/strict';
import { once } from 'node:events';
import { connect, createServer } from 'node:net';
import type { Socket } from 'node:net';
import type { TransactionRecorder } from '../../src/mirror/record/transaction-recorder.ts';
import { ClientSocket } from '../../src/net/client-socket.ts';
import { connectServer } from '../../src/pool/connect-server.ts';
import { noStatistics } from '../../src/pool/pool-statistics.ts';
import { ServerConnection } from '../../src/pool/server-connection.ts';
import { AnswerRelay } from '../../src/pooler/answer-relay.ts';
import { OutputAssembly } from '../../src/pooler/output-assembly.ts';
import { RequestReader } from '../../src/pooler/request-reader.ts';
import { RequestRelay } from '../../src/pooler/request-relay.ts';
import type { RequestRelayOptions } from '../../src/pooler/request-relay.ts';
import { SessionLink } from '../../src/pooler/session-link.ts';
import type { Server } from '../../src/pooler/session-link.ts';
import type { ProtocolError } from '../../src/protocol/protocol-error.ts';
import { ParameterSet } from '../../src/session/parameter-set.ts';
import { ServerSession } from '../../src/session/server-session.ts';
import { StatementRegistry } from '../../src/session/statement-names.ts';
import type { Cleanup } from '../support/cleanup.ts';
import { eventually } from '../support/eventually.ts';
import { MessageSocket } from '../support/message-socket.ts';
import { acceptLogin, ScriptedPostgres } from '../support/scripted-postgres.ts';

/** A server connection, and the script's end of it. */
export interface Backend {
  readonly server: Server;
  readonly peer: MessageSocket;
}

/** Opens a server connection whose other end a test plays by hand. */
export async function openBackend(cleanup: Cleanup): Promise<Backend> {
  const peers = Promise.withResolvers<MessageSocket>();
  const over = Promise.withResolvers<void>();
  const postgres = await ScriptedPostgres.start(cleanup, [
    acceptLogin({ TimeZone: 'UTC' }),
    async (peer) => {
      peers.resolve(peer);
      await over.promise;
    },
  ]);
  const login = { database: 'shop', user: 'anna', password: undefined, parameters: {}, timeoutMs: 10_000 };
  const loggedIn = await connectServer({ address: { host: '127.0.0.1', port: postgres.port }, ...login });
  const server: Server = new ServerConnection(
    loggedIn,
    new ServerSession(loggedIn.parameters),
    () => undefined,
    () => undefined,
  );
  cleanup.after(() => {
    server.close('shutdown');
    over.resolve();
  });
  return { server, peer: await peers.promise };
}

/** A connection: pgmirror’s end, and the client’s. */
export async function clientPair(cleanup: Cleanup): Promise<{ near: Socket; far: Socket }> {
  const listener = createServer({ noDelay: true });
  listener.listen(0, '127.0.0.1');
  await once(listener, 'listening');
  const address = listener.address();
  assert.ok(address !== null && typeof address === 'object');
  const accepting = once(listener, 'connection') as Promise<[Socket]>;
  const far = connect({ port: address.port, host: '127.0.0.1', noDelay: true });
  const [near] = await accepting;
  listener.close();
  cleanup.after(() => {
    near.destroy();
    far.destroy();
  });
  return { near, far };
}

/** Both relays of a session between a client and a server that a test plays by hand. */
export class RelayBench {
  /** The client's end: what it was told. */
  readonly client: MessageSocket;
  readonly link: SessionLink;
  readonly registry: StatementRegistry;
  readonly requests: RequestRelay;
  readonly answers: AnswerRelay;
  broken: ProtocolError | undefined;
  slow = 0;
  progress = 0;
  /** Why the server connection was lost. */
  lost: string | undefined;
  readonly #assembly = new OutputAssembly();
  readonly #reader: RequestReader;

  private constructor(near: Socket, far: Socket, options: BenchOptions) {
    const {
      recorder,
      registry = new StatementRegistry('pm_'),
      baseline = new Map<string, string>(),
      ...relay
    } = options;
    this.client = new MessageSocket(far);
    this.registry = registry;
    this.link = new SessionLink({
      client: new ClientSocket(near),
      processId: 1,
      pool: { statistics: noStatistics(), connections: [] },
      registry,
      recorder,
      settings: ParameterSet.empty,
      restated: ParameterSet.empty,
      reported: new ParameterSet(baseline),
      onDatabases: () => undefined,
    });
    this.requests = new RequestRelay(this.link, this.#assembly, {
      prepared: true,
      preparedLimit: 100,
      preparedBytes: 1_000_000,
      maxPipelineDepth: 100,
      absentName: 'pm_absent',
      ...relay,
    });
    this.answers = new AnswerRelay(this.link, this.requests, {
      progress: () => this.#onProgress(),
      clientIsSlow: () => void this.slow++,
      brokenServer: (error) => (this.broken ??= error),
    });
    this.#reader = new RequestReader(
      {
        message: (type, bytes, start, end) => this.requests.forward(this.#server, type, bytes, start, end),
        longMessage: (type, bytes, start, end, size) =>
          this.requests.forwardLong(this.#server, type, bytes, start, end, size),
        piece: (bytes, start, end, last) => this.requests.piece(this.#server, bytes, start, end, last),
        violation: (error) => assert.fail(error),
      },
      { maxMessageSize: 0x4000_0000 },
    );
  }

  static async start(cleanup: Cleanup, options: BenchOptions = {}): Promise<RelayBench> {
    const { near, far } = await clientPair(cleanup);
    return new RelayBench(near, far, options);
  }

  /** Gives the client this server connection. */
  use({ server }: Backend): void {
    this.link.link(server);
    server.setUser({
      bytes: (chunk) => this.answers.bytes(server, chunk),
      lost: (reason) => (this.lost = reason),
    });
  }

  /** Takes it away again; nothing may be owed. */
  leave(): void {
    assert.ok(this.link.answers.quiet, 'the server owes nothing');
    this.link.server?.setUser(undefined);
    this.link.unlink();
    this.requests.reset();
    this.answers.reset();
  }

  /** The client sends, in one write. */
  send(...messages: readonly Buffer[]): void {
    this.#reader.push(Buffer.concat(messages));
    this.#flush();
  }

  /** Whether something that the client sent waits for an answer. */
  get blocked(): boolean {
    return this.#reader.blocked;
  }

  /** Waits until the server owes nothing. */
  async quiet(): Promise<void> {
    await eventually(() => this.link.answers.quiet && this.answers.atMessageStart, { intervalMs: 1, what: 'quiet' });
  }

  /** Waits until the client has got exactly these bytes. */
  async told(...messages: readonly Buffer[]): Promise<void> {
    const expected = Buffer.concat(messages);
    const bytes = await this.client.readBytes(expected.length);
    assert.equal(bytes.toString('latin1'), expected.toString('latin1'));
    assert.equal(this.client.unread.length, 0);
  }

  get #server(): Server {
    assert.ok(this.link.server !== undefined);
    return this.link.server;
  }

  #onProgress(): void {
    this.progress++;
    if (this.link.answers.doubt !== undefined) {
      this.requests.askDoubt(this.#server);
      this.#flush();
    }
    if (!this.#reader.blocked) return;
    this.#reader.resume();
    this.#flush();
  }

  #flush(): void {
    if (!this.#assembly.empty) this.#server.socket.write(Buffer.from(this.#assembly.take()));
  }
}

type BenchOptions = Partial<RequestRelayOptions> & {
  readonly recorder?: TransactionRecorder;
  readonly registry?: StatementRegistry;
  readonly baseline?: ReadonlyMap<string, string>;
};

/** Takes from the server's end exactly these bytes. */
export async function received({ peer }: Backend, ...messages: readonly Buffer[]): Promise<void> {
  const expected = Buffer.concat(messages);
  const bytes = await peer.readBytes(expected.length);
  assert.equal(bytes.toString('latin1'), expected.toString('latin1'));
}
