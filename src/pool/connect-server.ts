import { AuthenticationError } from '../auth/authentication-error.ts';
import { ServerAuthentication } from '../auth/login-to-server.ts';
import type { ServerPassword } from '../auth/server-password.ts';
import { openServerSocket } from '../net/open-server-socket.ts';
import type { ServerAddress, ServerSocket } from '../net/server-socket.ts';
import type { ServerTlsOptions } from '../net/server-tls.ts';
import { parseErrorFields } from '../protocol/backend-messages.ts';
import type { ErrorFields } from '../protocol/backend-messages.ts';
import { PROTOCOL_3_0, PROTOCOL_3_2, startupMessage } from '../protocol/frontend-messages.ts';
import { Backend, HEADER_LENGTH, TransactionStatus } from '../protocol/message-types.ts';
import { ProtocolError } from '../protocol/protocol-error.ts';
import { monotonicNow } from '../util/clock.ts';
import { ServerConversation } from './server-conversation.ts';

/** Bytes taken from a server before it is ready. PostgreSQL sends about 500; a long error or search_path takes more. */
const MAX_LOGIN_BYTES = 262_144;
/** The longest cancel key of protocol 3.2 (manual, "BackendKeyData"). */
const MAX_SECRET_KEY_LENGTH = 256;

/** Where and as whom to log in. */
export interface ServerLogin {
  readonly address: ServerAddress;
  /** `undefined`: in plain text. */
  readonly tls?: ServerTlsOptions | undefined;
  readonly database: string;
  readonly user: string;
  readonly password: ServerPassword | undefined;
  /** Settings for the StartupMessage, besides user and database. */
  readonly parameters: Readonly<Record<string, string>>;
  /** For everything together: connecting, TLS, authentication, the server's start. */
  readonly timeoutMs: number;
}

/** A server connection that is ready for its first query. Its next owner sets the socket's handler at once. */
export interface LoggedInServer {
  readonly socket: ServerSocket;
  /** As reported by ParameterStatus. */
  readonly parameters: Map<string, string>;
  /** 0 and no bytes where the server sent no BackendKeyData: it cannot be cancelled. */
  readonly processId: number;
  readonly secretKey: Buffer;
}

/** A login that failed. Its socket is closed. */
export class ServerLoginError extends Error {
  override readonly name = 'ServerLoginError';
  /** The server's SQLSTATE, or the one that fits; `undefined` where there was no connection (see `cause`). */
  readonly code: string | undefined;
  /** What the server's ErrorResponse said, if it sent one. */
  readonly fields: ErrorFields | undefined;

  constructor(message: string, details: { code?: string | undefined; fields?: ErrorFields; cause?: unknown }) {
    super(message, { cause: details.cause });
    this.code = details.code;
    this.fields = details.fields;
  }
}

/** SQLSTATE invalid_authorization_specification: what a server says that has no rule for such a connection. */
const NO_RULE = '28000';
/** SQLSTATEs feature_not_supported and protocol_violation: what is said to a version that is not known. */
const VERSION_REFUSED: ReadonlySet<string> = new Set(['0A000', '08P01']);

/**
 * Connects and logs in, up to ReadyForQuery, by protocol 3.2 where the server speaks it. Rejects with ServerLoginError, and
 * has then left nothing open. As in libpq, with `prefer` a server that refuses an encrypted login is asked again in plain text; only where no password would
 * help, though: a wrong one is not sent a second time, unprotected.
 */
export async function connectServer(login: ServerLogin): Promise<LoggedInServer> {
  const deadline = monotonicNow() + login.timeoutMs;
  let way: Way = { tls: login.tls, version: PROTOCOL_3_2 };
  for (;;) {
    try {
      return await attempt(login, way, deadline);
    } catch (error) {
      const other = error instanceof Refused ? otherWay(error, way) : undefined;
      if (other === undefined) throw loginError(error instanceof Refused ? error.cause : error, login);
      way = other;
    }
  }
}

/** How a login is tried. */
interface Way {
  readonly tls: ServerTlsOptions | undefined;
  readonly version: number;
}

/** What else to try where a server did not let us in this way. */
function otherWay(refused: Refused, way: Way): Way | undefined {
  const { cause, encrypted } = refused;
  if (!(cause instanceof ServerLoginError) || cause.fields === undefined) return undefined;
  if (cause.code === NO_RULE && encrypted && way.tls?.verify === 'prefer') return { ...way, tls: undefined };
  // Servers and poolers from before NegotiateProtocolVersion refuse what they do not know.
  if (way.version !== PROTOCOL_3_0 && VERSION_REFUSED.has(cause.code ?? '')) return { ...way, version: PROTOCOL_3_0 };
  return undefined;
}

/** A login that failed on a connection that was made. */
class Refused extends Error {
  readonly encrypted: boolean;

  constructor(cause: unknown, encrypted: boolean) {
    super('refused', { cause });
    this.encrypted = encrypted;
  }
}

async function attempt(login: ServerLogin, { tls, version }: Way, deadline: number): Promise<LoggedInServer> {
  const startup = startupBytes(login, version);
  const socket = await openServerSocket(login.address, { tls, timeoutMs: deadline - monotonicNow() });
  try {
    return await logIn(socket, login, { startup, timeoutMs: deadline - monotonicNow() });
  } catch (error) {
    socket.destroy();
    throw new Refused(error, socket.encryption !== undefined);
  }
}

async function logIn(
  socket: ServerSocket,
  { user, password }: ServerLogin,
  { startup, timeoutMs }: { readonly startup: Buffer; readonly timeoutMs: number },
): Promise<LoggedInServer> {
  const conversation = new ServerConversation(socket, { timeoutMs, maxBytes: MAX_LOGIN_BYTES });
  try {
    conversation.send(startup);
    const authentication = new ServerAuthentication({
      user,
      password,
      channelBinding: socket.encryption?.channelBinding,
    });
    // Deriving keys is a wait, too: the deadline ends it.
    await Promise.race([authenticate(conversation, authentication), conversation.failed]);
    return { socket, ...(await awaitReady(conversation)) };
  } finally {
    conversation.end();
  }
}

// Start-up flow: until AuthenticationOk (manual, "Start-up").
async function authenticate(conversation: ServerConversation, authentication: ServerAuthentication): Promise<void> {
  for (;;) {
    const { type, message } = await conversation.next();
    if (isPassedOver(type, message)) continue;
    if (type !== Backend.Authentication) throw unexpected(type, message);
    const step = await authentication.receive(message);
    if (step.send !== undefined) conversation.send(step.send);
    if (step.done) return;
  }
}

// Start-up flow: from AuthenticationOk to ReadyForQuery.
async function awaitReady(conversation: ServerConversation): Promise<Omit<LoggedInServer, 'socket'>> {
  const parameters = new Map<string, string>();
  let key: Pick<LoggedInServer, 'processId' | 'secretKey'> = { processId: 0, secretKey: Buffer.alloc(0) };
  for (;;) {
    const { type, message } = await conversation.next();
    if (isPassedOver(type, message)) continue;
    if (type === Backend.ParameterStatus) parameters.set(...parseParameterStatus(message));
    else if (type === Backend.BackendKeyData) key = parseBackendKeyData(message);
    else if (type === Backend.ReadyForQuery) {
      checkReady(message);
      // Nothing was asked yet, so nothing may follow: it would be taken for the answer to the first query.
      if (conversation.hasMore) throw new ProtocolError('the server sent more than the end of its login');
      return { parameters, ...key };
    } else throw unexpected(type, message);
  }
}

// Notices say nothing that matters here. NegotiateProtocolVersion offers an older minor version, and nothing that is used
// here hangs on which; options it cannot name, for none were asked for.
function isPassedOver(type: number, message: Buffer): boolean {
  if (type === Backend.NegotiateProtocolVersion) checkNegotiation(message);
  return type === Backend.NoticeResponse || type === Backend.NegotiateProtocolVersion;
}

function checkNegotiation(message: Buffer): void {
  const isWhole = message.length === HEADER_LENGTH + 8;
  const version = isWhole ? message.readInt32BE(HEADER_LENGTH) : 0;
  const isOlder = version >= PROTOCOL_3_0 && version < PROTOCOL_3_2;
  if (!isOlder || message.readInt32BE(HEADER_LENGTH + 4) !== 0) {
    throw new ProtocolError('invalid NegotiateProtocolVersion');
  }
}

function unexpected(type: number, message: Buffer): Error {
  if (type !== Backend.ErrorResponse) {
    return new ProtocolError(`unexpected message type 0x${type.toString(16).padStart(2, '0')} during login`);
  }
  const fields = parseErrorFields(message);
  return new ServerLoginError(fields.message, { code: fields.code, fields });
}

function parseParameterStatus(message: Buffer): [name: string, value: string] {
  const nameEnd = message.indexOf(0, HEADER_LENGTH);
  if (nameEnd < 0 || message.indexOf(0, nameEnd + 1) !== message.length - 1) {
    throw new ProtocolError('invalid ParameterStatus');
  }
  return [message.toString('utf8', HEADER_LENGTH, nameEnd), message.toString('utf8', nameEnd + 1, message.length - 1)];
}

function parseBackendKeyData(message: Buffer): { processId: number; secretKey: Buffer } {
  const keyLength = message.length - HEADER_LENGTH - 4;
  if (keyLength < 4 || keyLength > MAX_SECRET_KEY_LENGTH) throw new ProtocolError('invalid BackendKeyData');
  return { processId: message.readInt32BE(HEADER_LENGTH), secretKey: message.subarray(HEADER_LENGTH + 4) };
}

function checkReady(message: Buffer): void {
  if (message.length !== HEADER_LENGTH + 1 || message[HEADER_LENGTH] !== TransactionStatus.Idle) {
    throw new ProtocolError('invalid ReadyForQuery');
  }
}

function startupBytes({ user, database, parameters }: ServerLogin, version: number): Buffer {
  const all = { ...parameters, user, database };
  // A zero byte would end the text early: another user or database would be logged in to.
  if (Object.entries(all).some(([name, value]) => name.includes('\0') || value.includes('\0'))) {
    throw new ProtocolError('a startup parameter holds a zero byte');
  }
  return startupMessage(all, version);
}

function loginError(error: unknown, { address, user, database }: ServerLogin): ServerLoginError {
  const { message } = error as Error;
  const text = `login to ${address.host}:${address.port} as user "${user}", database "${database}": ${message}`;
  if (error instanceof ServerLoginError && error.fields !== undefined) {
    return new ServerLoginError(text, { code: error.code, fields: error.fields, cause: error.cause });
  }
  const judged = error instanceof ProtocolError || error instanceof AuthenticationError;
  return new ServerLoginError(text, { code: judged ? error.code : undefined, cause: error });
}
