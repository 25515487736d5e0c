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
import type { ClientKey } from './clients.ts';
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

const APPLICATION_NAME = 'application_name';
/** Longer names are truncated by the server (NAMEDATALEN - 1). */
const PLAIN_NAME = /^[\x20-\x7e]{0,63}$/;
const REMEMBERED = 1000;
const LOST = '08006';
/** So long it is not asked again whether the configuration of the server has changed. */
const FRESH_MS = 1_000;
const NONE = Buffer.alloc(0);

/**
 * What the servers of a pool say to a client that logs in with certain settings. The first client with a set of settings
 * has them tried on a server connection, so that it is told what PostgreSQL makes of them, or why they are refused; what
 * came out is remembered for the next ones. `application_name` differs from client to client and needs no trying.
 */
export class WelcomeDesk {
  readonly #pool: Pool<ServerSession>;
  readonly #timeoutMs: number;
  readonly #known = new Map<string, { readonly welcome: Welcome; readonly since: number }>();

  constructor(pool: Pool<ServerSession>, options: { readonly timeoutMs: number }) {
    this.#pool = pool;
    this.#timeoutMs = options.timeoutMs;
  }

  /** Settles with the welcome, or rejects with the ErrorFields of a FATAL. */
  async welcome(settings: ReadonlyMap<string, string>): Promise<Welcome> {
    const applicationName = settings.get(APPLICATION_NAME) ?? '';
    const plain = PLAIN_NAME.test(applicationName);
    const tried = new Map(settings);
    if (plain) tried.delete(APPLICATION_NAME);
    const wanted = new ParameterSet(tried);
    const known = await this.#welcomeFor(wanted, plain);
    if (!plain || applicationName === '') return known;
    return {
      ...known,
      settings: known.settings.with(APPLICATION_NAME, applicationName),
      reported: known.reported.with(APPLICATION_NAME, applicationName),
    };
  }

  /** What came out before, unless that was long ago and a server can be asked at once whether it still holds. */
  async #welcomeFor(wanted: ParameterSet, remember: boolean): Promise<Welcome> {
    const known = this.#known.get(wanted.key);
    const isFresh = known !== undefined && monotonicNow() - known.since < FRESH_MS;
    if (known !== undefined && (isFresh || this.#pool.idleCount === 0)) return known.welcome;
    try {
      const welcome = await this.#try(wanted);
      if (this.#known.size >= REMEMBERED) this.#known.clear();
      if (remember) this.#known.set(wanted.key, { welcome, since: monotonicNow() });
      return welcome;
    } catch (error) {
      // That the one connection was lost says nothing of the server.
      if (known !== undefined && error instanceof LoginRefused && error.fields.code === LOST) return known.welcome;
      throw error;
    }
  }

  #try(wanted: ParameterSet): Promise<Welcome> {
    return new Promise((resolve, reject) => {
      const use = (server: Server): void => this.#apply(server, wanted, resolve, reject);
      const waiter = {
        granted: use,
        refused: (error: CheckoutError) => reject(fatal({ code: error.code, message: error.message })),
      };
      const server = this.#pool.checkout(waiter, wanted.key);
      if (server !== undefined) use(server);
    });
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
  key: ClientKey,
  parameters: ReadonlyMap<string, string>,
  notices: Buffer = NONE,
): void {
  const messages = [notices, ...[...parameters].map(([name, value]) => parameterStatus(name, value))];
  messages.push(backendKeyData(key.processId, key.secretKey), readyForQuery(TransactionStatus.Idle));
  client.write(Buffer.concat(messages));
}

function fatal(fields: { code: string; message: string }): LoginRefused {
  return new LoginRefused({ severity: 'FATAL', code: fields.code, message: fields.message });
}
