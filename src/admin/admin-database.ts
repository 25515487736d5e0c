import { isSameKey, secretBytes } from '../protocol/cancel-key.ts';
import type { CancelKey } from '../protocol/cancel-key.ts';
import type { ClientSocket } from '../net/client-socket.ts';
import {
  backendKeyData,
  bindComplete,
  closeComplete,
  commandComplete,
  dataRow,
  emptyQueryResponse,
  errorResponse,
  noData,
  noticeResponse,
  parameterDescription,
  parameterStatus,
  parseComplete,
  readyForQuery,
  rowDescription,
} from '../protocol/backend-messages.ts';
import { MessageCollector } from '../protocol/message-collector.ts';
import { Frontend, Target, TransactionStatus } from '../protocol/message-types.ts';
import { ProtocolError } from '../protocol/protocol-error.ts';
import type { AdminAnswer, AdminColumn, AdminValue } from './admin-answer.ts';

/** Runs one command and calls back with its answer. */
export type RunAdminCommand = (command: string, answered: (answer: AdminAnswer) => void) => void;

/** PostgreSQL's types, by OID and size. */
const types = {
  text: { typeOid: 25, typeSize: -1 },
  int8: { typeOid: 20, typeSize: 8 },
  int4: { typeOid: 23, typeSize: 4 },
  numeric: { typeOid: 1700, typeSize: -1 },
  float8: { typeOid: 701, typeSize: 8 },
  bool: { typeOid: 16, typeSize: 1 },
} as const;

const MAX_MESSAGE = 1_048_576;

/** Parameters that clients expect to be told; the version is that of the protocol's behaviour. */
const PARAMETERS: readonly [string, string][] = [
  ['server_version', '18.0 (pgmirror)'],
  ['server_encoding', 'UTF8'],
  ['client_encoding', 'UTF8'],
  ['DateStyle', 'ISO'],
  ['TimeZone', 'UTC'],
  ['standard_conforming_strings', 'on'],
  ['integer_datetimes', 'on'],
  ['is_superuser', 'on'],
];

const CANCELLED: AdminAnswer = {
  kind: 'error',
  code: '57014',
  message: 'canceling statement due to user request',
};

/** The admin database of one thread: serves logged-in clients, and has every command run elsewhere. */
export class AdminDatabase {
  readonly #run: RunAdminCommand;
  readonly #sessions = new Set<AdminSession>();

  constructor(run: RunAdminCommand) {
    this.#run = run;
  }

  serve(client: ClientSocket, _request: unknown, key: CancelKey, backlog: Buffer, ended: () => void): void {
    const greeting = PARAMETERS.map(([name, value]) => parameterStatus(name, value));
    greeting.push(backendKeyData(key.processId, secretBytes(key)), readyForQuery(TransactionStatus.Idle));
    client.write(Buffer.concat(greeting));
    const session: AdminSession = new AdminSession(client, key, this.#run, () => {
      this.#sessions.delete(session);
      ended();
    });
    this.#sessions.add(session);
    if (backlog.length > 0) session.received(backlog);
  }

  /** A CancelRequest; false: it is for no client here. */
  cancel(key: CancelKey): boolean {
    for (const session of this.#sessions) if (session.isMeant(key)) return session.cancel();
    return false;
  }

  destroy(): void {
    for (const session of [...this.#sessions]) session.end();
  }
}

/**
 * One client of the admin database, in the simple and the extended protocol. Commands take no parameters; one is run at
 * a time, and what is sent meanwhile waits.
 */
class AdminSession {
  readonly #client: ClientSocket;
  readonly #key: CancelKey;
  readonly #run: RunAdminCommand;
  readonly #onEnd: () => void;
  readonly #collector = new MessageCollector({ maxLength: MAX_MESSAGE });
  readonly #queue: { readonly type: number; readonly message: Buffer }[] = [];
  readonly #statements = new Map<string, string>();
  readonly #portals = new Map<string, string>();
  /** Answers to commands that were described before they are executed. */
  readonly #described = new Map<string, AdminAnswer>();
  #busy = false;
  /** The command that runs, and that its client wants it no more. */
  #command = '';
  #cancelled = false;
  #skipping = false;
  #over = false;

  constructor(client: ClientSocket, key: CancelKey, run: RunAdminCommand, onEnd: () => void) {
    this.#client = client;
    this.#key = key;
    this.#run = run;
    this.#onEnd = onEnd;
    client.handler = {
      bytes: (chunk) => this.received(chunk),
      ended: () => this.end(),
      closed: () => this.end(),
    };
  }

  received(chunk: Buffer): void {
    try {
      this.#collector.push(chunk, (type, message) => void this.#queue.push({ type, message }));
    } catch (error) {
      if (!(error instanceof ProtocolError)) throw error;
      this.end(errorResponse({ severity: 'FATAL', code: error.code, message: error.message }));
    }
    this.#next();
  }

  isMeant(key: CancelKey): boolean {
    return isSameKey(this.#key, key);
  }

  /** As in PgBouncer, PAUSE is what can take long: cancelled, it is undone. */
  cancel(): true {
    const [, what] = /^pause\b(.*)$/is.exec(this.#command) ?? [];
    if (this.#busy && what !== undefined) {
      this.#cancelled = true;
      this.#run(`RESUME${what}`, () => undefined);
    }
    return true;
  }

  end(lastBytes?: Buffer): void {
    if (this.#over) return;
    this.#over = true;
    this.#client.end(lastBytes);
    this.#onEnd();
  }

  #next(): void {
    while (!this.#busy && !this.#over) {
      const next = this.#queue.shift();
      if (next === undefined) return;
      this.#message(next.type, next.message);
    }
  }

  #message(type: number, message: Buffer): void {
    if (this.#skipping && type !== Frontend.Sync && type !== Frontend.Terminate) return;
    switch (type) {
      case Frontend.Query:
        return this.#simple(text(message, 5));
      case Frontend.Parse:
        this.#statements.set(text(message, 5), text(message, message.indexOf(0, 5) + 1));
        return this.#send(parseComplete());
      case Frontend.Bind:
        return this.#bind(message);
      case Frontend.Describe:
        return this.#describe(message);
      case Frontend.Execute:
        return this.#execute(text(message, 5));
      case Frontend.Close:
        (message[5] === Target.Statement ? this.#statements : this.#portals).delete(text(message, 6));
        return this.#send(closeComplete());
      case Frontend.Sync:
        this.#skipping = false;
        this.#portals.clear();
        this.#described.clear();
        return this.#send(readyForQuery(TransactionStatus.Idle));
      case Frontend.Flush:
        return;
      case Frontend.Terminate:
        return this.end();
      default:
        return this.end(
          errorResponse({ severity: 'FATAL', code: '08P01', message: `unexpected message type ${type}` }),
        );
    }
  }

  #send(...messages: Buffer[]): void {
    if (!this.#over) this.#client.write(messages.length === 1 ? (messages[0] as Buffer) : Buffer.concat(messages));
  }

  #fail(code: string, message: string): void {
    this.#skipping = true;
    this.#send(errorResponse({ severity: 'ERROR', code, message }));
  }

  #simple(sql: string): void {
    const commands = splitCommands(sql);
    if (commands.length === 0) {
      this.#send(emptyQueryResponse(), readyForQuery(TransactionStatus.Idle));
      return;
    }
    this.#inTurn(commands, 0);
  }

  #inTurn(commands: readonly string[], index: number): void {
    const command = commands[index];
    if (command === undefined) {
      this.#send(readyForQuery(TransactionStatus.Idle));
      return;
    }
    this.#ask(command, (answer) => {
      this.#send(...wholeAnswer(answer));
      this.#inTurn(commands, answer.kind === 'error' ? commands.length : index + 1);
    });
  }

  #ask(sql: string, answered: (answer: AdminAnswer) => void): void {
    this.#busy = true;
    this.#cancelled = false;
    this.#command = splitCommands(sql)[0] ?? '';
    this.#run(this.#command, (answer) => {
      this.#busy = false;
      if (this.#over) return;
      answered(this.#cancelled ? CANCELLED : answer);
      this.#next();
    });
  }

  #bind(message: Buffer): void {
    const portal = text(message, 5);
    const statement = text(message, message.indexOf(0, 5) + 1);
    const sql = this.#statements.get(statement);
    if (sql === undefined) return this.#fail('26000', `prepared statement "${statement}" does not exist`);
    this.#portals.set(portal, sql);
    this.#send(bindComplete());
  }

  #describe(message: Buffer): void {
    const isStatement = message[5] === Target.Statement;
    const name = text(message, 6);
    const sql = (isStatement ? this.#statements : this.#portals).get(name);
    if (sql === undefined) {
      return this.#fail(
        isStatement ? '26000' : '34000',
        `${isStatement ? 'prepared statement' : 'portal'} "${name}" does not exist`,
      );
    }
    const lead = isStatement ? [parameterDescription([])] : [];
    // Only what shows something is run to be described: the rest would happen twice.
    if (!/^\s*show\b/i.test(sql)) return this.#send(...lead, noData());
    this.#ask(sql, (answer) => {
      if (!isStatement) this.#described.set(name, answer);
      this.#send(...lead, answer.kind === 'rows' ? rowDescription(columnsOf(answer.columns)) : noData());
    });
  }

  #execute(portal: string): void {
    const sql = this.#portals.get(portal);
    if (sql === undefined) return this.#fail('34000', `portal "${portal}" does not exist`);
    if (splitCommands(sql).length === 0) return this.#send(emptyQueryResponse());
    const done = (answer: AdminAnswer): void => {
      if (answer.kind === 'error') this.#skipping = true;
      this.#send(...wholeAnswer(answer).slice(answer.kind === 'rows' ? 1 : 0));
    };
    const described = this.#described.get(portal);
    if (described === undefined) this.#ask(sql, done);
    else done(described);
  }
}

function text(message: Buffer, start: number): string {
  const end = message.indexOf(0, start);
  return message.toString('utf8', start, end < 0 ? message.length : end);
}

/** Commands hold no quotes with semicolons: the grammar of the admin database has none. */
function splitCommands(sql: string): string[] {
  return sql
    .replace(/--[^\n]*/g, ' ')
    .split(';')
    .map((command) => command.trim())
    .filter((command) => command !== '');
}

function columnsOf(columns: readonly AdminColumn[]): { name: string; typeOid: number; typeSize: number }[] {
  return columns.map((column) => ({ name: column.name, ...types[column.type] }));
}

function wholeAnswer(answer: AdminAnswer): Buffer[] {
  if (answer.kind === 'error') {
    const { code, message, hint } = answer;
    return [errorResponse({ severity: 'ERROR', code, message, hint })];
  }
  if (answer.kind === 'done') {
    const notice =
      answer.notice === undefined
        ? []
        : [noticeResponse({ severity: 'NOTICE', code: '00000', message: answer.notice })];
    return [...notice, commandComplete(answer.tag)];
  }
  return [
    rowDescription(columnsOf(answer.columns)),
    ...answer.rows.map((row) => dataRow(row.map(valueText))),
    commandComplete(answer.tag),
  ];
}

function valueText(value: AdminValue): string | null {
  if (value === null) return null;
  if (typeof value === 'boolean') return value ? 't' : 'f';
  return String(value);
}
