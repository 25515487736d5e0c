import type { RecordingDesk } from '../../../src/mirror/record/recording-desk.ts';
import type { ClientSocket, ClientSocketHandler } from '../../../src/net/client-socket.ts';
import type { ServerSocketHandler } from '../../../src/net/server-socket.ts';
import { Pool } from '../../../src/pool/pool.ts';
import { PoolBudget } from '../../../src/pool/pool-budget.ts';
import { ServerConnection } from '../../../src/pool/server-connection.ts';
import { ClientSession } from '../../../src/pooler/client-session.ts';
import { OutputAssembly } from '../../../src/pooler/output-assembly.ts';
import {
  bindComplete,
  closeComplete,
  commandComplete,
  noData,
  parameterDescription,
  parseComplete,
  readyForQuery,
} from '../../../src/protocol/backend-messages.ts';
import { Frontend, Target, TransactionStatus } from '../../../src/protocol/message-types.ts';
import { ParameterSet } from '../../../src/session/parameter-set.ts';
import { ServerSession } from '../../../src/session/server-session.ts';
import { StatementRegistry } from '../../../src/session/statement-names.ts';

/**
 * Clients and servers of one pooler thread without sockets: what a session does with bytes, from the client's chunk to
 * the server's answer, and nothing of what Node and the kernel do before and after.
 */
export class SessionPath {
  readonly #clients: ClientSocketHandler[] = [];
  readonly #servers: ServerSocketHandler[] = [];
  readonly #registry: StatementRegistry;
  /** What reached the server and has not been answered, where that is asked for. */
  #preparing = false;
  #sent: Buffer = Buffer.alloc(0);
  /** Bytes written, to keep the writes from being optimized away. */
  written = 0;

  constructor(options: { readonly clients: number; readonly desk?: RecordingDesk }) {
    const { desk } = options;
    this.#registry = desk?.registry ?? new StatementRegistry('pm_');
    const pool = this.#pool();
    const assembly = new OutputAssembly();
    for (let client = 0; client < options.clients; client++) this.#addClient(pool, assembly, desk);
    pool.release(this.#server());
  }

  /** A request of one client and the server's answer to it. */
  run(client: number, request: Buffer, answer: Buffer): void {
    this.#clients[client]?.bytes(request);
    this.#servers[0]?.bytes(answer);
  }

  /** A request of one client, answered as the messages ask for that have reached the server. */
  prepare(client: number, request: Buffer): void {
    this.#preparing = true;
    this.#clients[client]?.bytes(request);
    while (this.#sent.length > 0) {
      const sent = this.#sent;
      this.#sent = Buffer.alloc(0);
      for (let at = 0; at < sent.length; at += 1 + sent.readUInt32BE(at + 1)) {
        this.#servers[0]?.bytes(answerTo(sent, at));
      }
    }
    this.#preparing = false;
  }

  #pool(): Pool<ServerSession> {
    const options = {
      login: { address: { host: '127.0.0.1', port: 1 }, database: 'shop', user: 'anna' },
      ...{ loginKey: '', resetAlways: false, size: 10, pinnedSize: 1, minSize: 0, databaseSize: 0 },
      ...{ checkoutTimeoutMs: 1e6, idleTimeoutMs: 0, lifetimeMs: 0, healthcheckMs: 30_000 },
    };
    const budgets = { pool: PoolBudget.alone(), pinned: PoolBudget.alone(), database: PoolBudget.alone() };
    const hooks = {
      open: () => new ServerSession(new Map()),
      parameterChanged: () => undefined,
      newRole: () => undefined,
      suits: (state: ServerSession, wish: string) => state.applied.key === wish,
      check: () => undefined,
    };
    return new Pool(options as unknown as ConstructorParameters<typeof Pool>[0], hooks, budgets, () => undefined);
  }

  #server(): ServerConnection<ServerSession> {
    const servers = this.#servers;
    const socket = {
      set handler(handler: ServerSocketHandler) {
        servers.push(handler);
      },
      ...this.#sink(true),
    };
    const login = { socket, processId: 1, secretKey: Buffer.alloc(4), parameters: new Map<string, string>() };
    type LoggedIn = ConstructorParameters<typeof ServerConnection>[0];
    const state = new ServerSession(new Map());
    return new ServerConnection(
      login as unknown as LoggedIn,
      state,
      () => undefined,
      () => undefined,
    );
  }

  #addClient(pool: Pool<ServerSession>, assembly: OutputAssembly, desk: RecordingDesk | undefined): void {
    const clients = this.#clients;
    const socket = {
      set handler(handler: ClientSocketHandler) {
        clients.push(handler);
      },
      ...this.#sink(false),
    };
    const settings = ParameterSet.empty;
    const session = new ClientSession({
      client: socket as unknown as ClientSocket,
      processId: clients.length,
      secretKey: 'oooo',
      ...{ database: 'shop', user: 'anna', pool, mode: 'transaction', registry: this.#registry, assembly },
      recorder: desk?.open({ database: 'shop', user: 'anna', settings }),
      settings,
      restated: settings,
      reported: settings,
      limits: {
        ...{
          queryTimeoutMs: 0,
          clientIdleTimeoutMs: 0,
          clientIdleInTransactionTimeoutMs: 0,
          cancelOnDisconnect: false,
        },
        ...{ prepared: true, preparedBytes: 1e7, maxMessageSize: 1e9, maxPipelineDepth: 1e5, preparedLimit: 200 },
        ...{ rollbackTimeoutMs: 5_000, cancelTimeoutMs: 5_000 },
      },
      absentName: 'pm_absent',
      onDatabases: () => undefined,
      onClosed: () => undefined,
    });
    session.start(Buffer.alloc(0));
  }

  #sink(keep: boolean) {
    const write = (bytes: Buffer): boolean => {
      this.written += bytes.length;
      if (keep && this.#preparing) this.#sent = Buffer.concat([this.#sent, bytes]);
      return true;
    };
    const nothing = (): void => undefined;
    return {
      write,
      writableLength: 0,
      over: false,
      pause: nothing,
      resume: nothing,
      whenFlushed: nothing,
      end: nothing,
    };
  }
}

/** The shortest answer to a message of the extended flow. */
function answerTo(bytes: Buffer, at: number): Buffer {
  switch (bytes[at]) {
    case Frontend.Parse:
      return parseComplete();
    case Frontend.Bind:
      return bindComplete();
    case Frontend.Describe:
      return bytes[at + 5] === Target.Statement ? Buffer.concat([parameterDescription([]), noData()]) : noData();
    case Frontend.Close:
      return closeComplete();
    case Frontend.Execute:
      return commandComplete('SELECT 1');
    default:
      return readyForQuery(TransactionStatus.Idle);
  }
}
