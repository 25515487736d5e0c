import { chmodSync, existsSync } from 'node:fs';
import { createServer } from 'node:net';
import type { Server as NetServer, Socket } from 'node:net';
import { LoginFailures } from '../auth/login-failures.ts';
import { ClientSocket } from '../net/client-socket.ts';
import { Farewells } from '../net/farewells.ts';
import { TlsAcceptor } from '../net/tls-acceptor.ts';
import { errorResponse } from '../protocol/backend-messages.ts';
import type { ErrorFields } from '../protocol/backend-messages.ts';
import type { PoolerOptions } from './pooler-options.ts';
import { STOPPING, TOO_MANY_LOGINS } from './session-errors.ts';
import { Startup } from './startup.ts';
import type { StartupFailure, StartupHost } from './startup.ts';

/** Where clients are accepted. */
export type ReceptionAddress =
  | { readonly host: string; readonly port: number; readonly reusePort: boolean }
  | { readonly path: string }
  | { readonly fd: number };

/** What a reception asks its owner. */
export interface ReceptionHost extends Pick<StartupHost, 'mockSecret' | 'lookUp' | 'cancel' | 'loggedIn'> {
  /** Counts a connection of the process that is not logged in: false, there are too many. */
  readonly loginArrived: (limit: number) => boolean;
  readonly loginLeft: () => void;
  /** A login from there failed: other threads are to know. */
  readonly loginFailed: (address: string) => void;
  /** Somebody was refused who did not prove to be this user. */
  readonly refused: (failure: StartupFailure) => void;
  /** A connection that was logging in does so no more: it has, or it has ended. */
  readonly startupOver: () => void;
  readonly log: (level: 'debug' | 'info' | 'warn', message: string, fields: object) => void;
}

/** How long those have who are logging in when nobody is to be let in any more. */
export const LOGIN_GRACE_MS = 2_000;

/** Who may connect to a unix socket: everybody, for they are asked who they are; its owner alone, where nobody is. */
const SOCKET_MODE = { asked: 0o777, trusted: 0o700 } as const;

/**
 * Where clients come in: the listening sockets, TLS, and every connection up to its login. Those that are not logged in
 * are bounded in number and time, apart from the clients that are, and so are those that were turned away and have not
 * closed yet, and failed logins from one address.
 */
export class Reception {
  readonly #host: ReceptionHost;
  #options: PoolerOptions;
  #acceptor: TlsAcceptor | undefined;
  readonly #failures: LoginFailures;
  readonly #startups = new Set<Startup>();
  readonly #farewells: Farewells;
  readonly #listeners: NetServer[] = [];
  readonly #socketPaths: string[] = [];
  #closing: NodeJS.Timeout | undefined;

  /** Throws where the certificate cannot be used. */
  constructor(host: ReceptionHost, options: PoolerOptions) {
    this.#host = host;
    this.#options = options;
    this.#failures = new LoginFailures(options.limits.loginFailuresPerMinute);
    this.#farewells = new Farewells(options.limits.maxLoginConnections);
    this.#acceptor = acceptorOf(options);
  }

  /** Accepts clients there; the port. Rejects with the error of listen(). */
  listen(where: ReceptionAddress): Promise<number> {
    let isLocal = 'path' in where;
    // Whose machine is gone must not keep a transaction open: the system asks, at the times it is set to, as for PostgreSQL.
    const options = { allowHalfOpen: true, noDelay: true, keepAlive: true };
    const server = createServer(options, (socket) => this.#accept(socket, isLocal));
    this.#listeners.push(server);
    return new Promise((resolve, reject) => {
      server.once('error', reject);
      server.listen({ ...where, backlog: 1024 }, () => {
        server.off('error', reject);
        if ('path' in where) {
          this.#socketPaths.push(where.path);
          this.#setSocketMode(where.path);
        }
        const address = server.address();
        // A unix socket that somebody else has opened tells no path.
        isLocal ||= address === null;
        resolve(typeof address === 'object' && address !== null ? address.port : 0);
      });
    });
  }

  /** Applies changed options. Connections that are there stay as they are. Throws as the constructor does. */
  configure(options: PoolerOptions): void {
    const before = this.#options;
    if (JSON.stringify(before.tls) !== JSON.stringify(options.tls)) this.#acceptor = acceptorOf(options);
    this.#options = options;
    this.#failures.limit = options.limits.loginFailuresPerMinute;
    this.#farewells.limit = options.limits.maxLoginConnections;
    // Where somebody has taken the file away nobody can come in by it; those who have must not suffer for that.
    for (const path of this.#socketPaths) if (existsSync(path)) this.#setSocketMode(path);
  }

  /** A login from there failed in another thread. */
  loginFailedElsewhere(address: string): void {
    this.#failures.failed(address);
  }

  /** Lets nobody in any more. Who is at the door may still log in, for a while: they have done nothing to be refused. */
  close(): void {
    if (this.#closing !== undefined) return;
    for (const listener of this.#listeners) listener.close();
    this.#closing = setTimeout(() => this.sendAway(), LOGIN_GRACE_MS);
  }

  /** Who has not logged in yet is sent away. */
  sendAway(): void {
    clearTimeout(this.#closing);
    for (const startup of [...this.#startups]) startup.refuse(STOPPING.code, STOPPING.message);
  }

  /** Tells a client that has no session why it gets none. */
  turnAway(client: ClientSocket, why: ErrorFields): void {
    client.end(errorResponse(why));
    this.#farewells.add(client);
  }

  /** Nobody is logging in. */
  get isQuiet(): boolean {
    return this.#startups.size === 0;
  }

  #setSocketMode(path: string): void {
    chmodSync(path, this.#options.authType === 'trust' ? SOCKET_MODE.trusted : SOCKET_MODE.asked);
  }

  #accept(socket: Socket, isLocal: boolean): void {
    const client = new ClientSocket(socket, { isLocal });
    const { limits, tlsRequired } = this.#options;
    const host = this.#host;
    if (!host.loginArrived(limits.maxLoginConnections)) {
      this.turnAway(client, TOO_MANY_LOGINS);
      return;
    }
    const startup: Startup = new Startup(
      client,
      {
        mockSecret: host.mockSecret,
        lookUp: (request) => host.lookUp(request),
        tooManyFailures: ({ remoteAddress }) => !isLocal && this.#failures.refuses(remoteAddress),
        cancel: (key) => host.cancel(key),
        loggedIn: (...login) => {
          // In this order: at no moment it counts nowhere.
          host.loggedIn(...login);
          this.#left(startup);
        },
        askedInVain: () => this.#failed(client),
        over: (failure) => {
          this.#farewells.add(client);
          this.#left(startup);
          if (failure !== undefined) this.#refused(client, failure);
        },
      },
      { timeoutMs: limits.clientLoginTimeoutMs, tls: { acceptor: this.#acceptor, required: tlsRequired } },
    );
    this.#startups.add(startup);
  }

  #left(startup: Startup): void {
    if (!this.#startups.delete(startup)) return;
    this.#host.loginLeft();
    this.#host.startupOver();
  }

  #refused(client: ClientSocket, failure: StartupFailure): void {
    const { user, database, reason, unproven } = failure;
    const address = client.remoteAddress;
    if (unproven) this.#host.refused(failure);
    this.#host.log('warn', 'login refused', { user, database, reason, address });
    if (unproven) this.#failed(client);
  }

  #failed({ isLocal, remoteAddress: address }: ClientSocket): void {
    // Whoever comes over a unix socket has no address of its own: one of them must not lock out the rest.
    if (isLocal) return;
    this.#host.loginFailed(address);
    if (!this.#failures.failed(address)) return;
    this.#host.log('warn', 'too many failed logins from one address: further ones are refused for a while', {
      address,
    });
  }
}

function acceptorOf({ tls }: PoolerOptions): TlsAcceptor | undefined {
  return tls === undefined ? undefined : new TlsAcceptor(tls);
}
