import { connectServer, ServerLoginError } from '../pool/connect-server.ts';
import type { ClientSocket } from '../net/client-socket.ts';
import type { ErrorFields } from '../protocol/backend-messages.ts';
import type { CancelKey } from '../protocol/cancel-key.ts';
import type { NamedPool } from './pools.ts';
import { ReplicationSession } from './replication-session.ts';
import { TOO_MANY_OF_DATABASE, TOO_MANY_PINNED } from './session-errors.ts';
import type { LoginRequest } from './startup.ts';
import { LoginRefused } from './welcome.ts';

/**
 * Opens a client's own connection to a walsender. It logs in as those of the pool do, with the client's settings in its
 * StartupMessage, and counts among the connections that are kept besides the pool. Rejects with LoginRefused.
 */
export async function openReplication(
  client: ClientSocket,
  request: LoginRequest & { readonly replication: 'physical' | 'logical' },
  key: CancelKey,
  {
    named,
    cancelTimeoutMs,
    onClosed,
  }: {
    readonly named: NamedPool;
    readonly cancelTimeoutMs: number;
    readonly onClosed: (session: ReplicationSession, reason: string) => void;
  },
): Promise<ReplicationSession> {
  const { login, pinnedSize, databaseSize } = named.pool.options;
  const { pinned, database } = named.budgets;
  if (!pinned.tryOpen(pinnedSize)) throw new LoginRefused(TOO_MANY_PINNED);
  if (!database.tryOpen(databaseSize === 0 ? Infinity : databaseSize)) {
    pinned.closed();
    throw new LoginRefused(TOO_MANY_OF_DATABASE);
  }
  const release = (): void => {
    pinned.closed();
    database.closed();
  };
  try {
    const parameters = {
      ...login.parameters,
      ...Object.fromEntries(request.settings),
      replication: request.replication === 'logical' ? 'database' : 'true',
    };
    return new ReplicationSession({
      client,
      ...key,
      database: request.database,
      user: request.user,
      applicationName: request.settings.get('application_name') ?? '',
      kind: request.replication,
      server: await connectServer({ ...login, parameters }),
      cancelTimeoutMs,
      onClosed: (session, reason) => {
        release();
        onClosed(session, reason);
      },
    });
  } catch (error) {
    release();
    throw new LoginRefused(refusal(error));
  }
}

/** What the server said is said to the client; why there is no server, is not. */
function refusal(error: unknown): ErrorFields {
  if (error instanceof ServerLoginError && error.fields !== undefined) return { ...error.fields, severity: 'FATAL' };
  return { severity: 'FATAL', code: '08006', message: 'no connection to the server for replication' };
}
