import type { ServerPassword } from '../auth/server-password.ts';
import { LOOP_SQLSTATE, trailOf } from '../mirror/record/look-name.ts';
import type { TransactionRecorder } from '../mirror/record/transaction-recorder.ts';
import type { ClientSocket } from '../net/client-socket.ts';
import { ProtocolError } from '../protocol/protocol-error.ts';
import type { ParameterSet } from '../session/parameter-set.ts';
import type { StatementRegistry } from '../session/statement-names.ts';
import { ClientSession } from './client-session.ts';
import { Clients, isNew } from './clients.ts';
import type { CancelKey } from '../protocol/cancel-key.ts';
import { Directory } from './directory.ts';
import { EarlyInput } from './early-input.ts';
import { OutputAssembly } from './output-assembly.ts';
import type { PoolerHost } from './pooler-host.ts';
import type { PoolerLimits, PoolerOptions } from './pooler-options.ts';
import { Pools } from './pools.ts';
import type { NamedPool, PoolWay } from './pools.ts';
import { LookedUpUsers } from './looked-up-users.ts';
import { openReplication } from './open-replication.ts';
import { LOGIN_GRACE_MS, Reception } from './reception.ts';
import type { ReceptionAddress } from './reception.ts';
import type { ReplicationSession } from './replication-session.ts';
import { keyWithServer, serverAtLogin } from './server-at-login.ts';
import { CIRCLE, SHUTDOWN, STOPPING, TOO_MANY_CLIENTS, noDatabaseError } from './session-errors.ts';
import type { SessionLimits } from './session-options.ts';
import type { LoginRequest, LookedUp } from './startup.ts';
import { LoginRefused, greet } from './welcome.ts';

/** How exact timeouts are. */
const SWEEP_MS = 250;

/**
 * A pooler: accepts clients, logs them in, and serves each with a session, on the pools of its thread. It is given its
 * sockets by `listen`, its configuration by `configure`, and everything that reaches beyond its thread by its host.
 */
export class Pooler {
  readonly #host: PoolerHost;
  #options: PoolerOptions;
  /** One object for all sessions: what changes in it counts for those that are there, too. */
  readonly #sessionLimits: SessionLimits;
  #directory: Directory;
  readonly #pools: Pools;
  readonly #registry: StatementRegistry;
  readonly #absentName: string;
  readonly #assembly = new OutputAssembly();
  readonly #clients: Clients;
  readonly #reception: Reception;
  readonly #lookedUp: LookedUpUsers;
  readonly #sweeper: NodeJS.Timeout;
  #draining: NodeJS.Timeout | undefined;
  /** Nobody is let in any more, not even who had begun to log in. */
  #shut = false;
  /** Clients that have logged in and have no session yet. */
  #opening = 0;
  #drained: (() => void) | undefined;

  private constructor(host: PoolerHost, options: PoolerOptions, directory: Directory) {
    this.#host = host;
    this.#options = options;
    this.#sessionLimits = sessionLimits(options.limits);
    this.#directory = directory;
    this.#registry = host.registry;
    this.#absentName = `${host.registry.prefix}absent`;
    this.#clients = new Clients(host.thread);
    this.#pools = new Pools({
      budget: host.budget,
      paused: host.paused,
      tellWelcome: host.tellWelcome,
      log: (message, fields) => host.log(message === 'server connection closed' ? 'debug' : 'warn', message, fields),
    });
    this.#lookedUp = new LookedUpUsers(host.mockSecret, (message, fields) => host.log('warn', message, fields));
    this.#reception = new Reception(
      {
        mockSecret: host.mockSecret,
        lookUp: (request) => this.#lookUp(request),
        cancel: (key) => (this.cancel(key) ? undefined : host.cancelElsewhere(key)),
        loggedIn: (...login) => void this.#loggedIn(...login),
        refused: ({ user, database }) => this.#lookedUp.forget(user, database),
        startupOver: () => this.#checkDrained(),
        loginArrived: host.loginArrived,
        loginLeft: host.loginLeft,
        loginFailed: host.loginFailed,
        log: host.log,
      },
      options,
    );
    this.#sweeper = setInterval(() => this.#sweep(), SWEEP_MS);
  }

  static async start(host: PoolerHost, options: PoolerOptions): Promise<Pooler> {
    const pooler = new Pooler(host, options, await Directory.derive(options, host.mockSecret));
    void pooler.#openKeptPools();
    return pooler;
  }

  get clients(): Pick<Clients, 'sessions' | 'replications'> {
    return this.#clients;
  }

  get pools(): Pick<Pools, 'all' | 'paused' | 'statistics' | 'welcomeHeard'> {
    return this.#pools;
  }

  /** Another thread, or another pool, wants a connection within a shared budget, has made room, or wants idle ones gone. */
  announced(what: 'wanted' | 'room' | 'leave', key: string): void {
    this.#pools.announced(what, key);
  }

  /** Accepts clients there; the port. Rejects with the error of listen(). */
  listen(where: ReceptionAddress): Promise<number> {
    return this.#reception.listen(where);
  }

  /** A login from there failed in another thread. */
  loginFailedElsewhere(address: string): void {
    this.#reception.loginFailedElsewhere(address);
  }

  /** Applies changed options whole. Clients of databases and users that are gone end when they are idle. */
  async configure(options: PoolerOptions): Promise<void> {
    const directory = await Directory.derive(options, this.#host.mockSecret, this.#directory);
    this.#reception.configure(options);
    this.#options = options;
    Object.assign(this.#sessionLimits, sessionLimits(options.limits));
    this.#directory = directory;
    this.#lookedUp.clear();
    for (const session of this.#clients.sessions) {
      if (this.#host.desk.routes(session.options.database).length > 0)
        session.recordFromNextTransaction(this.#host.desk);
    }
    for (const named of this.#pools.all()) {
      const entry = directory.find(named.user, named.database);
      if (entry !== undefined) {
        this.#pools.reconfigure(named.user, entry.database, entry.route, options.limits);
        continue;
      }
      for (const session of this.#clients.sessions) {
        if (session.options.pool === named.pool) session.closeWhenIdle(SHUTDOWN);
      }
      this.#pools.remove(named);
    }
    for (const session of [...this.#clients.replications]) {
      if (directory.find(session.options.user, session.options.database) === undefined) session.abort(SHUTDOWN);
    }
    await this.#openKeptPools();
  }

  /** A CancelRequest, wherever it came in; false: it is for nobody here. */
  cancel(key: CancelKey): boolean {
    return this.#clients.cancel(key) || this.#host.special.cancel(key);
  }

  /** PAUSE: settles when no client of the database (undefined: of any) is in a transaction. */
  pause(database: string | undefined): Promise<void> {
    return this.#pools.pause(database);
  }

  resume(database: string | undefined): void {
    this.#pools.resume(database);
  }

  reconnect(database: string | undefined): void {
    this.#pools.reconnect(database);
  }

  /** KILL: ends every client and connection of the database (undefined: of all) now; new clients wait for RESUME. */
  kill(database: string | undefined): void {
    void this.#pools.pause(database);
    for (const session of this.#clients.everybody()) {
      if (database === undefined || session.options.database === database) session.abort(SHUTDOWN);
    }
    this.#pools.reconnect(database);
  }

  /**
   * Nobody is let in any more; clients end when they are idle. Who is logging in, or has logged in just now and asked nothing
   * yet, has a moment for it: nobody who connected is sent away unserved. Settles when all have gone.
   */
  drain(): Promise<void> {
    this.#reception.close();
    for (const session of this.#clients.everybody())
      if (!isNew(session, LOGIN_GRACE_MS)) session.closeWhenIdle(SHUTDOWN);
    this.#pools.drain();
    this.#draining ??= setTimeout(() => {
      this.#shut = true;
      for (const session of this.#clients.everybody()) session.closeWhenIdle(SHUTDOWN);
    }, LOGIN_GRACE_MS);
    return new Promise((resolve) => {
      this.#drained = resolve;
      this.#checkDrained();
    });
  }

  /** Ends everything now. */
  destroy(): void {
    clearInterval(this.#sweeper);
    clearTimeout(this.#draining);
    this.#shut = true;
    this.#reception.close();
    this.#reception.sendAway();
    this.#lookedUp.clear();
    for (const session of this.#clients.everybody()) session.cut(SHUTDOWN);
    this.#pools.destroy();
  }

  #sweep(): void {
    this.#pools.sweep();
    for (const session of [...this.#clients.sessions]) session.sweep(SWEEP_MS);
  }

  /** Pools that are to have connections before their first client comes. */
  async #openKeptPools(): Promise<void> {
    for (const { name, routes } of this.#options.users) {
      for (const { database, minPoolSize } of routes) {
        if (minPoolSize > 0) await this.#pools.keep(name, database, this.#wayOf(name, database));
      }
    }
  }

  /** Where a pool leads, when it is made: that may be elsewhere than when it was asked for. */
  #wayOf(user: string, database: string): () => PoolWay | undefined {
    return () => {
      const entry = this.#directory.find(user, database);
      return entry && { ...entry, limits: this.#options.limits };
    };
  }

  #lookUp(request: LoginRequest): LookedUp | Promise<LookedUp> {
    if (trailOf(request.settings.get('application_name'))?.includes(this.#host.instance) === true) {
      throw new ProtocolError('a pgmirror cannot be its own mirror', LOOP_SQLSTATE);
    }
    const { admin, authType } = this.#options;
    if (admin.names.includes(request.database)) {
      const secret = request.user === admin.user ? this.#directory.adminSecret : undefined;
      // The admin's own password is asked for whatever clients of databases are asked, and never to be sent as it is.
      return { authType: authType === 'md5' ? 'md5' : 'scram', secret };
    }
    const entry = this.#directory.find(request.user, request.database);
    if (entry?.lookup !== undefined) {
      const asked = !this.#lookedUp.knows(request.user, entry.database.name);
      const found = this.#lookedUp.find(request.user, entry.database, entry.lookup);
      return found.then((secret) => ({ authType, secret, asked }));
    }
    const known = entry ?? this.#directory.findAstray(request.user, request.database);
    if (authType === 'trust' && known !== undefined && known.secret === undefined) {
      return { authType, secret: this.#directory.trusted };
    }
    return { authType, secret: known?.secret };
  }

  async #loggedIn(
    client: ClientSocket,
    request: LoginRequest,
    backlog: Buffer,
    learnt: ServerPassword | undefined,
  ): Promise<void> {
    const early = new EarlyInput(client, backlog);
    const key = this.#clients.newKey(request.protocolVersion);
    if (this.#options.admin.names.includes(request.database)) {
      this.#host.special.serve(client, request, key, backlog, () => undefined);
      return;
    }
    if (!this.#host.clientArrived(this.#options.limits.maxClientConnections)) {
      this.#reception.turnAway(client, TOO_MANY_CLIENTS);
      return;
    }
    this.#opening++;
    try {
      const { leaving } = early;
      const session = await this.#openSession(client, request, { ...key, learnt, leaving });
      if (early.gone) {
        session.start(Buffer.alloc(0));
        session.abort(SHUTDOWN);
        return;
      }
      session.start(early.take(), early.ended);
      if (this.#shut) session.closeWhenIdle(SHUTDOWN);
    } catch (error) {
      this.#host.clientLeft();
      const fields =
        error instanceof LoginRefused ? error.fields : { severity: 'FATAL', code: 'XX000', message: 'internal error' };
      if (!(error instanceof LoginRefused)) this.#host.log('warn', 'login failed', { error: String(error) });
      this.#reception.turnAway(client, fields);
    } finally {
      this.#opening--;
      this.#checkDrained();
    }
  }

  async #openSession(
    client: ClientSocket,
    request: LoginRequest,
    {
      learnt,
      leaving,
      ...key
    }: CancelKey & { readonly learnt: ServerPassword | undefined; readonly leaving: AbortSignal },
  ): Promise<ClientSession | ReplicationSession> {
    const entry = this.#directory.find(request.user, request.database);
    if (!this.#directory.hasDatabase(request.database)) throw new LoginRefused(noDatabaseError(request.database));
    if (entry === undefined || this.#shut) throw new LoginRefused(STOPPING);
    const trail = trailOf(request.settings.get('application_name'));
    if (trail !== undefined && (await this.#host.isCircle(request.database, trail))) throw new LoginRefused(CIRCLE);
    const { limits } = this.#options;
    this.#pools.learn(request.user, entry.database, entry.route, { limits, learnt });
    const way = this.#wayOf(request.user, request.database);
    const named = await this.#pools.get(request.user, request.database, way);
    if (named === undefined) throw new LoginRefused(noDatabaseError(request.database));
    if (request.replication !== 'none') {
      return this.#openReplication(client, { ...request, replication: request.replication }, key, named);
    }
    const welcome = await named.desk.welcome(request.settings, leaving);
    const server = named.mode === 'session' ? await serverAtLogin(named, welcome.settings) : undefined;
    if (named.removed) {
      server?.close('removed');
      throw new LoginRefused(noDatabaseError(request.database));
    }
    const told = keyWithServer(key, server, this.#clients);
    const session: ClientSession = new ClientSession({
      client,
      ...told,
      database: request.database,
      user: request.user,
      pool: named.pool,
      mode: named.mode,
      registry: this.#registry,
      assembly: this.#assembly,
      recorder: this.#recorderFor(request, welcome.settings.orElse(welcome.restated)),
      ...welcome,
      limits: this.#sessionLimits,
      absentName: this.#absentName,
      onDatabases: () => this.#host.leaveElsewhere(this.#pools.leave(named)),
      onClosed: (reason) => this.#closed(session, reason),
    });
    this.#clients.add(session);
    if (server !== undefined) session.keep(server);
    greet(client, told, welcome.reported.entries, welcome.notices);
    this.#logConnected(client, request, told);
    return session;
  }

  async #openReplication(
    client: ClientSocket,
    request: LoginRequest & { readonly replication: 'physical' | 'logical' },
    key: CancelKey,
    named: NamedPool,
  ): Promise<ReplicationSession> {
    const session = await openReplication(client, request, key, {
      named,
      cancelTimeoutMs: this.#options.limits.connectTimeoutMs,
      onClosed: (closed, reason) => this.#closed(closed, reason),
    });
    this.#clients.add(session);
    greet(client, key, session.options.server.parameters);
    this.#logConnected(client, request, key);
    if (named.removed) session.abort(SHUTDOWN);
    return session;
  }

  #logConnected(client: ClientSocket, request: LoginRequest, key: CancelKey): void {
    if (!this.#options.logConnections) return;
    const { database, user } = request;
    const more = request.replication === 'none' ? {} : { replication: request.replication };
    const address = client.remoteAddress;
    this.#host.log('info', 'client connected', { database, user, address, client: key.processId, ...more });
  }

  /** Clients of a source without mirrors are not recorded at all. */
  #recorderFor(request: LoginRequest, settings: ParameterSet): TransactionRecorder | undefined {
    const { database, user } = request;
    if (this.#host.desk.routes(database).length === 0) return undefined;
    return this.#host.desk.open({ database, user, settings });
  }

  #closed(session: ClientSession | ReplicationSession, reason: string): void {
    const { processId, database, user } = session.options;
    if (!this.#clients.remove(session)) return;
    this.#host.clientLeft();
    if (this.#options.logConnections) {
      this.#host.log('info', 'client disconnected', { database, user, client: processId, reason });
    }
    this.#checkDrained();
  }

  #checkDrained(): void {
    if (this.#drained === undefined || this.#clients.size > 0 || this.#opening > 0 || !this.#reception.isQuiet) return;
    clearTimeout(this.#draining);
    this.#drained();
    this.#drained = undefined;
  }
}

function sessionLimits(limits: PoolerLimits): SessionLimits {
  return { ...limits, cancelTimeoutMs: limits.connectTimeoutMs };
}
