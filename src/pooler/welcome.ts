import type { ClientSocket } from '../net/client-socket.ts';
import type { Pool } from '../pool/pool.ts';
import type { CheckoutError } from '../pool/waiting-line.ts';
import { backendKeyData, parameterStatus, readyForQuery } from '../protocol/backend-messages.ts';
import type { ErrorFields } from '../protocol/backend-messages.ts';
import { Backend, TransactionStatus } from '../protocol/message-types.ts';
import { ParameterSet } from '../session/parameter-set.ts';
import type { ServerSession } from '../session/server-session.ts';
import { settingsStatement } from '../session/settings.ts';
import { monotonicNow } from '../util/clock.ts';
import { secretBytes } from '../protocol/cancel-key.ts';
import type { CancelKey } from '../protocol/cancel-key.ts';
import { runTask } from './server-task.ts';
import type { TaskResult } from './server-task.ts';
import type { Server } from './session-link.ts';

/** What a client is told when it has logged in, and what its session then has for settings. */
export interface Welcome {
  readonly settings: ParameterSet;
  /** What else it asked for: settings that a fresh login has anyway. */
  readonly restated: ParameterSet;
  readonly reported: ParameterSet;
  /** The NoticeResponses that it causes: a name is too long and will be truncated. */
  readonly notices: Buffer;
}

/** What clients with these settings are told from now on. */
type TellWelcome = (settings: string, welcome: Welcome) => void;

/** A login that waits for a connection to try its settings on. */
interface Asker {
  readonly settings: string;
  known(welcome: Welcome): void;
}

const APPLICATION_NAME = 'application_name';
/** Longer names are truncated by the server (NAMEDATALEN - 1). */
const PLAIN_NAME = /^[\x20-\x7e]{0,63}$/;
const REMEMBERED = 1000;
const LOST = '08006';
/** So long it is not asked again whether the configuration of the server has changed. */
const FRESH_MS = 1_000;
const NONE = Buffer.alloc(0);
const GONE = { code: LOST, message: 'the client went away while it waited for a server connection' };

/**
 * What the servers of a pool say to a client that logs in with certain settings. The first client with a set of settings
 * has them tried on a server connection, so that it is told what PostgreSQL makes of them, or why they are refused; what
 * came out is remembered for the next ones, and for those who wait to have the same tried, here and in other threads: where
 * clients keep all connections there is none to try it on. `application_name` differs from client to client and needs no
 * trying.
 */
export class WelcomeDesk {
  readonly #pool: Pool<ServerSession>;
  readonly #timeoutMs: number;
  /** Tells the other threads. */
  readonly #tell: TellWelcome;
  readonly #known = new Map<string, { readonly welcome: Welcome; readonly since: number }>();
  readonly #askers = new Set<Asker>();

  constructor(pool: Pool<ServerSession>, options: { readonly timeoutMs: number; readonly tell: TellWelcome }) {
    this.#pool = pool;
    this.#timeoutMs = options.timeoutMs;
    this.#tell = options.tell;
  }

  /** This was found out, here or in another thread, for clients with these settings (the key of their set). */
  heard(settings: string, welcome: Welcome): void {
    if (this.#known.size >= REMEMBERED) this.#known.clear();
    this.#known.set(settings, { welcome, since: monotonicNow() });
    for (const asker of this.#askers) if (asker.settings === settings) asker.known(welcome);
  }

  /** Settles with the welcome, or rejects with LoginRefused. A client that is leaving is not waited for. */
  async welcome(settings: ReadonlyMap<string, string>, leaving: AbortSignal): Promise<Welcome> {
    const applicationName = settings.get(APPLICATION_NAME) ?? '';
    const plain = PLAIN_NAME.test(applicationName);
    const tried = new Map(settings);
    if (plain) tried.delete(APPLICATION_NAME);
    const wanted = new ParameterSet(tried);
    const known = await this.#welcomeFor(wanted, plain, leaving);
    if (!plain || applicationName === '') return known;
    return {
      ...known,
      settings: known.settings.with(APPLICATION_NAME, applicationName),
      reported: known.reported.with(APPLICATION_NAME, applicationName),
    };
  }

  /** What came out before, unless that was long ago and a server can be asked at once whether it still holds. */
  async #welcomeFor(wanted: ParameterSet, remember: boolean, leaving: AbortSignal): Promise<Welcome> {
    const known = this.#known.get(wanted.key);
    const isFresh = known !== undefined && monotonicNow() - known.since < FRESH_MS;
    if (known !== undefined && (isFresh || this.#pool.idleCount === 0)) return known.welcome;
    try {
      return await this.#try(wanted, remember, leaving);
    } catch (error) {
      // That the one connection was lost says nothing of the server.
      if (known !== undefined && error instanceof LoginRefused && error.fields.code === LOST) return known.welcome;
      throw error;
    }
  }

  #try(wanted: ParameterSet, remember: boolean, leaving: AbortSignal): Promise<Welcome> {
    const { promise, resolve, reject } = Promise.withResolvers<Welcome>();
    let waits = true;
    const over = (): void => {
      waits = false;
      this.#askers.delete(asker);
    };
    const asker = {
      settings: wanted.key,
      known: (welcome: Welcome) => {
        over();
        this.#pool.leave(waiter);
        resolve(welcome);
      },
    };
    const use = (server: Server): void => {
      over();
      const found = (welcome: Welcome): void => {
        if (remember) this.#found(wanted.key, welcome);
        resolve(welcome);
      };
      this.#apply(server, wanted, found, reject);
    };
    const refuse = ({ code, message }: { readonly code: string; readonly message: string }): void => {
      over();
      reject(fatal({ code, message }));
    };
    const waiter = { granted: use, refused: (error: CheckoutError) => refuse(error) };
    const server = this.#pool.checkout(waiter, wanted.key);
    if (server !== undefined) use(server);
    else if (remember) this.#askers.add(asker);
    const left = (): void => {
      if (!waits) return;
      this.#pool.leave(waiter);
      refuse(GONE);
    };
    if (leaving.aborted) left();
    else leaving.addEventListener('abort', left, { once: true });
    return promise;
  }

  #found(settings: string, welcome: Welcome): void {
    const before = this.#known.get(settings)?.welcome;
    this.heard(settings, welcome);
    if (before === undefined || !isSame(before, welcome)) this.#tell(settings, welcome);
  }

  #apply(
    server: Server,
    wanted: ParameterSet,
    resolve: (welcome: Welcome) => void,
    reject: (error: LoginRefused) => void,
  ): void {
    // From a clean slate: part of a value that is not named (the half of DateStyle) must not be the last client's.
    const clean = settingsStatement(server.state.applied, ParameterSet.empty);
    const sql = [clean, settingsStatement(ParameterSet.empty, wanted)].filter((part) => part !== '').join('; ');
    const notices: Buffer[] = [];
    const note = (type: number, message: Buffer): boolean => {
      if (type === Backend.NoticeResponse) notices.push(message);
      return false;
    };
    // Even an empty query makes a server report what its configuration has become.
    const done = (result: TaskResult): void => {
      if (result.outcome === 'lost') {
        reject(fatal({ code: LOST, message: result.reason }));
        return;
      }
      if (result.outcome === 'error') {
        server.close('unclean');
        reject(fatal(result.error));
        return;
      }
      server.state.configured(wanted);
      const { settings, restated } = this.#normalized(server, wanted);
      server.state.given(settings);
      server.state.restated = restated.orElse(server.state.restated);
      this.#pool.release(server);
      resolve({ settings, restated, reported: server.state.reported, notices: Buffer.concat(notices) });
    };
    runTask(server, sql, this.#timeoutMs, done, { before: note });
  }

  /** Settings as the server reports them, and apart from them those that a fresh login has anyway. */
  #normalized(server: Server, wanted: ParameterSet): { settings: ParameterSet; restated: ParameterSet } {
    const { reported, baseline } = server.state;
    const settings = new Map(wanted.entries);
    const restated = new Map<string, string>();
    for (const [name, value] of reported.entries) {
      const lower = name.toLowerCase();
      if (!settings.has(lower)) continue;
      if (baseline.entries.get(name) === value) {
        settings.delete(lower);
        restated.set(lower, value);
      } else {
        settings.set(lower, value);
      }
    }
    return { settings: new ParameterSet(settings), restated: new ParameterSet(restated) };
  }
}

/** A login that ends with a FATAL message. */
export class LoginRefused extends Error {
  override readonly name = 'LoginRefused';
  readonly fields: ErrorFields;

  constructor(fields: ErrorFields) {
    super(fields.message);
    this.fields = fields;
  }
}

/** Ends a login: notices, the parameters that the server reports, what to cancel with, and that the client may begin. */
export function greet(
  client: ClientSocket,
  key: CancelKey,
  parameters: ReadonlyMap<string, string>,
  notices: Buffer = NONE,
): void {
  const messages = [notices, ...[...parameters].map(([name, value]) => parameterStatus(name, value))];
  messages.push(backendKeyData(key.processId, secretBytes(key)), readyForQuery(TransactionStatus.Idle));
  client.write(Buffer.concat(messages));
}

function isSame(one: Welcome, other: Welcome): boolean {
  const sets = ['settings', 'restated', 'reported'] as const;
  return sets.every((set) => one[set].equals(other[set])) && one.notices.equals(other.notices);
}

function fatal(fields: { code: string; message: string }): LoginRefused {
  return new LoginRefused({ severity: 'FATAL', code: fields.code, message: fields.message });
}
