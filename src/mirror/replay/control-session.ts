import type { LoggedInServer, ServerLogin } from '../../pool/connect-server.ts';
import { ServerConversation } from '../../pool/server-conversation.ts';
import { dataRowValues, parseErrorFields } from '../../protocol/backend-messages.ts';
import type { ErrorFields } from '../../protocol/backend-messages.ts';
import { query, terminate } from '../../protocol/frontend-messages.ts';
import { Backend } from '../../protocol/message-types.ts';
import type { Connect } from './connect.ts';

/** Catalogs are small; what answers more than this is no catalog. */
const MAX_BYTES = 16 * 1024 * 1024;

/** A query of pgmirror's own that the server refused. */
class ControlQueryError extends Error {
  override readonly name = 'ControlQueryError';
  readonly code: string;

  constructor(fields: ErrorFields) {
    super(fields.message);
    this.code = fields.code;
  }
}

/** A login on which pgmirror asks a server for itself: simple queries, one after the other, all within one deadline. */
export class ControlSession {
  readonly #server: LoggedInServer;
  readonly #conversation: ServerConversation;

  private constructor(server: LoggedInServer, timeoutMs: number) {
    this.#server = server;
    this.#conversation = new ServerConversation(server.socket, { timeoutMs, maxBytes: MAX_BYTES });
  }

  /** Logs in, lends the session, and ends it. `timeoutMs` of the login holds again for all the queries together. */
  static async with<Result>(
    connect: Connect,
    login: ServerLogin,
    use: (session: ControlSession) => Promise<Result>,
  ): Promise<Result> {
    const session = new ControlSession(await connect(login), login.timeoutMs);
    try {
      return await use(session);
    } finally {
      session.#end();
    }
  }

  /**
   * The rows of a question about the catalogs. Functions and operators in it are those of pg_catalog, even where somebody
   * has made others that would suit better: it may be asked as a user who may do more than they.
   */
  look(question: string): Promise<(string | null)[][]> {
    return this.query(`SET LOCAL search_path = pg_catalog; ${question}`);
  }

  /** The rows of all the text's statements, as text. Rejects with ControlQueryError where one of them fails. */
  async query(text: string): Promise<(string | null)[][]> {
    this.#conversation.send(query(text));
    const rows: (string | null)[][] = [];
    let failure: ControlQueryError | undefined;
    for (;;) {
      const { type, message } = await this.#conversation.next();
      if (type === Backend.DataRow) rows.push(dataRowValues(message));
      else if (type === Backend.ErrorResponse) failure ??= new ControlQueryError(parseErrorFields(message));
      else if (type === Backend.ReadyForQuery) break;
    }
    if (failure !== undefined) throw failure;
    return rows;
  }

  #end(): void {
    this.#conversation.end();
    this.#server.socket.handler = { bytes: () => undefined, closed: () => undefined };
    this.#server.socket.end(terminate());
  }
}
