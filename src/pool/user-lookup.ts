import { dataRowValues, parseErrorFields } from '../protocol/backend-messages.ts';
import { queryWith, terminate } from '../protocol/frontend-messages.ts';
import { Backend, HEADER_LENGTH, TransactionStatus } from '../protocol/message-types.ts';
import { ProtocolError } from '../protocol/protocol-error.ts';
import { monotonicNow } from '../util/clock.ts';
import { connectServer, ServerLoginError } from './connect-server.ts';
import type { ServerLogin } from './connect-server.ts';
import { ServerConversation } from './server-conversation.ts';
import type { ServerSocket } from '../net/server-socket.ts';

/** So much may a server answer to one look-up. */
const MAX_ANSWER_BYTES = 65_536;
/** The connection is kept so long for the next. */
const IDLE_MS = 5_000;

/**
 * Settings of the connection, whatever its role or database says: names that a query does not qualify are those of
 * pg_catalog, so that nobody who may create functions or operators elsewhere is run as the one who asks.
 */
export const LOOKUP_PARAMETERS: Readonly<Record<string, string>> = {
  application_name: 'pgmirror auth_query',
  search_path: 'pg_catalog',
  client_encoding: 'UTF8',
};

/**
 * Asks a database for the passwords of its users (`auth_query`), on a connection of its own that no client has anything
 * to do with, one after the other: however many clients ask, the server has one connection more. It is closed when
 * nobody has asked for a while.
 */
export class UserLookup {
  readonly #login: ServerLogin;
  readonly #query: string;
  #socket: ServerSocket | undefined;
  #last: Promise<unknown> = Promise.resolve();
  #asking = 0;
  #idleTimer: NodeJS.Timeout | undefined;
  #closed = false;

  /** `login.timeoutMs` also holds for each look-up. `query` has one parameter and gives name and password. */
  constructor(login: ServerLogin, query: string) {
    this.#login = login;
    this.#query = query;
  }

  /**
   * The user's password as the server stores it: a SCRAM verifier or an MD5 hash; `undefined` where there is no such
   * user, or none that may log in. Rejects where the server cannot be asked.
   */
  find(user: string): Promise<string | undefined> {
    this.#asking++;
    clearTimeout(this.#idleTimer);
    const since = monotonicNow();
    const found = this.#last.then(() => {
      // Who has waited behind a server that does not answer need not wait for it again.
      if (monotonicNow() - since > this.#login.timeoutMs) throw new Error('the server did not answer in time');
      return this.#find(user);
    });
    this.#last = found.catch(() => undefined);
    void this.#last.then(() => this.#asked());
    return found;
  }

  /** Closes the connection, at once where it is idle. */
  close(): void {
    this.#closed = true;
    clearTimeout(this.#idleTimer);
    if (this.#asking === 0) this.#drop();
  }

  #asked(): void {
    this.#asking--;
    if (this.#asking > 0) return;
    if (this.#closed) this.#drop();
    else this.#idleTimer = setTimeout(() => this.#drop(), IDLE_MS);
  }

  #drop(): void {
    this.#socket?.end(terminate());
    this.#socket = undefined;
  }

  async #find(user: string): Promise<string | undefined> {
    const kept = this.#socket;
    this.#socket = undefined;
    if (kept !== undefined) {
      try {
        return await this.#ask(kept, user);
      } catch (error) {
        // The server may have closed it long ago; what it said itself would be said again.
        if (error instanceof ServerLoginError || error instanceof ProtocolError) throw error;
      }
    }
    const { socket } = await connectServer(this.#login);
    return await this.#ask(socket, user);
  }

  async #ask(socket: ServerSocket, user: string): Promise<string | undefined> {
    const { timeoutMs } = this.#login;
    const conversation = new ServerConversation(socket, { timeoutMs, maxBytes: MAX_ANSWER_BYTES });
    try {
      conversation.send(queryWith(this.#query, user));
      const row = await readAnswer(conversation);
      if (conversation.hasMore) throw new ProtocolError('the server sent more than it was asked for');
      this.#socket = socket;
      socket.handler = { bytes: () => undefined, closed: () => this.#lost(socket) };
      const [name, password] = row ?? [];
      // A name that the server shortened is another's.
      return name === user ? (password ?? undefined) : undefined;
    } catch (error) {
      socket.destroy();
      throw error;
    } finally {
      conversation.end();
    }
  }

  #lost(socket: ServerSocket): void {
    if (this.#socket === socket) this.#socket = undefined;
  }
}

/** Reads up to ReadyForQuery; the only row. */
async function readAnswer(conversation: ServerConversation): Promise<readonly (string | null)[] | undefined> {
  let row: readonly (string | null)[] | undefined;
  let error: Error | undefined;
  for (;;) {
    const { type, message } = await conversation.next();
    if (type === Backend.ErrorResponse) {
      const fields = parseErrorFields(message);
      error = new ServerLoginError(fields.message, { code: fields.code, fields });
    } else if (type === Backend.DataRow) {
      if (row !== undefined) error ??= new ProtocolError('auth_query found more than one row');
      row = values(message);
    } else if (type === Backend.ReadyForQuery) {
      if (error !== undefined) throw error;
      if (message[HEADER_LENGTH] === TransactionStatus.Idle) return row;
      throw new ProtocolError('auth_query left a transaction open');
    }
  }
}

function values(row: Buffer): readonly (string | null)[] {
  try {
    return dataRowValues(row);
  } catch {
    throw new ProtocolError('malformed DataRow');
  }
}
