import type { ClientSocket } from '../net/client-socket.ts';
import type { PoolStatistics } from '../pool/pool-statistics.ts';
import type { ServerConnection } from '../pool/server-connection.ts';
import { TransactionStatus } from '../protocol/message-types.ts';
import { AnswerQueue } from '../session/answer-queue.ts';
import { ClientStatements } from '../session/client-statements.ts';
import type { ClientStatement } from '../session/client-statements.ts';
import type { ParameterSet } from '../session/parameter-set.ts';
import { parseContext } from '../session/parse-context.ts';
import type { PinReason } from '../session/session-audit.ts';
import type { ServerSession } from '../session/server-session.ts';
import { Touch } from '../session/state-touches.ts';
import { StateWatch } from '../session/state-watch.ts';
import type { TextSource } from '../session/state-watch.ts';
import type { StatementRegistry } from '../session/statement-names.ts';
import type { TransactionRecorder } from '../mirror/record/transaction-recorder.ts';
import { UnnamedStatement } from './unnamed-statement.ts';
import type { WithheldOutput } from './withheld-output.ts';

/** A server connection with what is followed of its session. */
export type Server = ServerConnection<ServerSession>;

/**
 * A statement text in the bytes it came in: that of a Query, or of the unnamed statement (with the parameter types that
 * follow it in a Parse message).
 */
export class StatementText {
  readonly bytes: Buffer;
  readonly start: number;
  readonly end: number;
  /** It is SQL's DEALLOCATE of this statement, which was prepared by message. */
  readonly deallocates: ClientStatement | undefined;
  /** What it may do to its session (state-touches.ts). */
  readonly touches: number;

  constructor(
    bytes: Buffer,
    start: number,
    end: number,
    known: { readonly deallocates?: ClientStatement; readonly touches?: number } = {},
  ) {
    this.bytes = bytes;
    this.start = start;
    this.end = end;
    this.deallocates = known.deallocates;
    this.touches = known.touches ?? 0;
  }

  get text(): string {
    return this.bytes.toString('utf8', this.start, this.bytes.indexOf(0, this.start));
  }
}

/** What a session needs to know of its pool. */
interface LinkPool {
  readonly statistics: PoolStatistics;
  readonly connections: Iterable<Server>;
}

const NOTHING_OWED = new AnswerQueue();

/** What a client's session is doing (client-session.ts). */
export type SessionState = 'idle' | 'waiting' | 'active' | 'leaving' | 'closed';

/**
 * What the two directions of a client's session share: the client, the server connection it has at the moment, and what
 * is followed of the client's own session state wherever it runs.
 */
export class SessionLink {
  readonly client: ClientSocket;
  /** The process id that the client was told. */
  readonly processId: number;
  readonly pool: LinkPool;
  state: SessionState = 'idle';
  /** Those of its pool. */
  readonly statistics: PoolStatistics;
  readonly statements: ClientStatements;
  recorder: TransactionRecorder | undefined;
  #openRecorder: ((settings: ParameterSet) => TransactionRecorder | undefined) | undefined;
  server: Server | undefined;
  /** What the linked server owes; an empty queue without one. */
  answers: AnswerQueue = NOTHING_OWED;
  /** The settings with which the client logged in: what RESET brings back. */
  readonly loginSettings: ParameterSet;
  /** Those among them that its servers have anyway. */
  readonly loginRestated: ParameterSet;
  /** What it was told then, by the server's spelling. */
  readonly loginReported: ParameterSet;
  #settings: ParameterSet;
  #restated: ParameterSet;
  /** Of the server it had last. */
  #formerProcessId = 0;
  /** What the client was told (ParameterStatus), by the server's spelling. */
  reported: ParameterSet;
  readonly unnamed = new UnnamedStatement();
  /** What the current transaction may have done to the session (state-watch.ts). */
  readonly watch = new StateWatch();
  readonly #onDatabases: () => void;
  /** Why the client keeps its server connection outside a transaction; empty: it does not. */
  pins: PinReason[] = [];
  /** What another client's sequences gave the server's session is to be forgotten before anything is sent. */
  foreignSequences = false;
  /** Something was run on its server connection, or will be, other than the beginning of a transaction block. */
  hasUsedServer = false;
  /** Which statements are prepared is about to be asked: those of the client, under its own names, are to be there. */
  statementsAsked: 'no' | 'wanted' | 'shown' = 'no';
  /** When the server was given something to do after it had nothing, and when that began a transaction. */
  busySince = 0;
  transactionSince = 0;
  /** Walks over what the client sent, this one included: within one, no time passes. */
  walks = 0;
  /** When it answered last. */
  answeredAt = 0;
  /** The client cannot be written to any more. */
  clientGone = false;
  /** The client has ended its input, and is answered through this. */
  withheld: WithheldOutput | undefined;

  constructor(options: {
    readonly client: ClientSocket;
    readonly processId: number;
    readonly pool: LinkPool;
    readonly registry: StatementRegistry;
    readonly recorder: TransactionRecorder | undefined;
    readonly settings: ParameterSet;
    readonly restated: ParameterSet;
    readonly reported: ParameterSet;
    readonly onDatabases: () => void;
  }) {
    this.#onDatabases = options.onDatabases;
    this.client = options.client;
    this.processId = options.processId;
    this.pool = options.pool;
    this.statistics = options.pool.statistics;
    this.statements = new ClientStatements(options.registry, () => parseContext(this.#settings));
    this.recorder = options.recorder;
    this.loginSettings = options.settings;
    this.loginRestated = options.restated;
    this.loginReported = options.reported;
    this.#settings = options.settings;
    this.#restated = options.restated;
    this.reported = options.reported;
  }

  /** The client's settings beyond those of a fresh login, by lower-case name. */
  get settings(): ParameterSet {
    return this.#settings;
  }

  set settings(settings: ParameterSet) {
    this.#settings = settings;
    this.#tellRecorder();
  }

  /** Settings that the client has made with values that its servers have anyway: those of mirrors may be others. */
  get restated(): ParameterSet {
    return this.#restated;
  }

  set restated(restated: ParameterSet) {
    this.#restated = restated;
    this.#tellRecorder();
  }

  #tellRecorder(): void {
    if (this.recorder !== undefined) this.recorder.settings = this.#settings.orElse(this.#restated);
  }

  /** A client that is not recorded will be, from the next call of `startRecording` on. */
  recordLater(openRecorder: (settings: ParameterSet) => TransactionRecorder | undefined): void {
    if (this.recorder === undefined) this.#openRecorder = openRecorder;
  }

  /** To be called between transactions. */
  startRecording(): void {
    if (this.#openRecorder === undefined) return;
    this.recorder = this.#openRecorder(this.#settings.orElse(this.#restated));
    this.#openRecorder = undefined;
  }

  link(server: Server): void {
    // What another server holds of this client's was perhaps replaced since.
    const isFormer = server.processId !== 0 && server.processId === this.#formerProcessId;
    if (!isFormer && server.state.unnamedOwner === this) server.state.unnamedOwner = undefined;
    this.#formerProcessId = server.processId;
    server.state.lastClient = this.processId;
    if (this.server !== server) this.hasUsedServer = false;
    this.server = server;
    this.answers = server.state.answers;
  }

  /** A statement with these touches is sent. */
  sent(touches: number, source: TextSource): void {
    this.watch.sent(touches, source);
    if ((touches & Touch.Databases) !== 0) this.#onDatabases();
  }

  /** The server, which owes nothing, is about to be given a request. */
  becomesBusy(now: number): void {
    this.busySince = now;
    if (this.server?.status === TransactionStatus.Idle) this.transactionSince = now;
  }

  unlink(): void {
    // It may have been left amid a transaction.
    if (this.server !== undefined && this.hasUsedServer) this.server.state.sequencesOf = this.statements;
    this.server = undefined;
    this.answers = NOTHING_OWED;
    this.unnamed.unlinked();
  }
}
