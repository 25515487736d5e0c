import { randomBytes } from 'node:crypto';
import type { Logger } from 'pino';
import { runAdminCommand } from '../admin/admin-commands.ts';
import type { AdminHost, MirrorView, Plans, Reloaded } from '../admin/admin-host.ts';
import type { Config } from '../config/config.ts';
import { differences, keepingWhatNeedsRestart } from '../config/differences.ts';
import { withSetting, type GeneralSetting } from '../config/set-general.ts';
import type { HttpServer } from '../http/http-server.ts';
import type { Readiness } from '../http/http-host.ts';
import type { QueryReport } from '../mirror/report/query-report.ts';
import { passedOn } from '../mirror/record/look-name.ts';
import { leadBack } from '../mirror/replay/circle.ts';
import type { MirrorTargetStatus } from '../mirror/replay/mirror-process-messages.ts';
import { connectServer } from '../pool/connect-server.ts';
import type { PoolStatistics } from '../pool/pool-statistics.ts';
import type { ThreadSnapshot } from '../pooler/pooler-snapshot.ts';
import { settlesWithin } from '../util/settles-within.ts';
import { CounterBook, NO_COUNTS } from './counter-book.ts';
import { unusable } from './exclusive-address.ts';
import { FirstDrops } from './first-drops.ts';
import { listenAddresses, listenAlone } from './listen-addresses.ts';
import { MirrorChild, type MirrorProcessConfig } from './mirror-child.ts';
import { exposureOf, MirrorIds, mirrorRoutes, mirrorTargets, sourceLogins } from './mirrors.ts';
import type { MirrorOverrides } from './mirrors.ts';
import { OpenFilesWatch } from './open-files-watch.ts';
import { openFilesLimit, openFilesNeeded } from './open-files.ts';
import { PassedLooks } from './passed-looks.ts';
import { PoolerThreads } from './pooler-threads.ts';
import { PreparedLedger } from './prepared-ledger.ts';
import { QueryPlans } from './query-plans.ts';
import { stateOf, TrafficView } from './traffic-view.ts';
import { poolerOptions } from './thread-config.ts';
import type { ThreadConfig } from './thread-messages.ts';

export interface SupervisorOptions {
  readonly config: Config;
  /** Reads both files again; rejects with a ConfigError. */
  readonly load: () => Promise<Config>;
  /** Makes the salts that clients are shown. */
  readonly mockSecret: Buffer;
  readonly logger: Logger;
  readonly version: string;
  /** SHUTDOWN was asked for, or clients cannot be let in any more. */
  readonly onShutdown: () => void;
  /** File descriptors of sockets that listen already, in place of those of the configuration. */
  readonly listenFds: readonly number[];
}

/**
 * The whole of a running pgmirror, seen from its main thread, through which no client's bytes pass: the pooler threads
 * and the mirror process, the configuration they have, and what is told of them.
 */
export class Supervisor implements AdminHost {
  readonly version: string;
  readonly #startedAt = performance.now();
  readonly #logger: Logger;
  readonly #load: () => Promise<Config>;
  readonly #onShutdown: () => void;
  readonly #listenFds: readonly number[];
  readonly #counters = new CounterBook();
  readonly #ids = new MirrorIds();
  readonly #prepared = new PreparedLedger();
  /** Names this pgmirror among all. */
  readonly #instance = randomBytes(16).toString('hex');
  readonly #overrides: MirrorOverrides = { exposures: new Map(), disabled: new Set() };
  readonly #threads: PoolerThreads;
  readonly #view: TrafficView;
  readonly #plans = new QueryPlans(() => this.#config);
  readonly #looks = new PassedLooks((source, trail) => this.#passLook(source, trail));
  #config: Config;
  #mirrorChild: MirrorChild | undefined;
  #openFiles: OpenFilesWatch | undefined;
  #http: HttpServer | undefined;
  #state: Readiness['state'] = 'starting';
  /** Changes of the configuration are made one after the other. */
  #changing: Promise<void> = Promise.resolve();
  /** The files are read one time after the other: what is applied last was read last. */
  #reloading: Promise<void> = Promise.resolve();

  constructor(options: SupervisorOptions) {
    this.#config = options.config;
    this.#load = options.load;
    this.#logger = options.logger;
    this.version = options.version;
    this.#onShutdown = options.onShutdown;
    this.#listenFds = options.listenFds;
    const drops = new FirstDrops(options.logger, this.#ids);
    this.#threads = new PoolerThreads({
      count: options.config.general.workers,
      listen: (thread) => listenAddresses(this.#config.general, this.#listenFds, thread),
      config: this.#threadConfig(),
      mockSecret: options.mockSecret,
      instance: this.#instance,
      host: {
        admin: (command) => runAdminCommand(this, command),
        prepared: (news) => this.#prepared.note(news),
        isCircle: (source, trail) => this.#looks.isCircle(source, trail),
        firstDropped: (mirror, reason, user) => drops.note(mirror, reason, user),
        mirrorPath: () => this.#mirrorChild?.path,
        // A socket that was passed to this process is closed with its thread, and cannot be opened again.
        canListenAgain: () => options.listenFds.length === 0,
        cannotListen: () => options.onShutdown(),
      },
      counters: this.#counters,
      logger: options.logger,
    });
    this.#view = new TrafficView({
      version: options.version,
      ids: this.#ids,
      counters: this.#counters,
      overrides: this.#overrides,
      config: () => this.#config,
      mirrorChild: () => this.#mirrorChild,
      snapshots: () => this.#threads.snapshots(),
      state: () => this.#state,
    });
  }

  get uptimeSeconds(): number {
    return (performance.now() - this.#startedAt) / 1000;
  }

  get config(): Config {
    return this.#config;
  }

  /**
   * Starts everything, and settles when clients can connect. Rejects where it cannot listen; with the reason of `giveUp`
   * where that came while another pgmirror's start was waited for.
   */
  async start(giveUp: AbortSignal): Promise<void> {
    const { host, port, workers } = this.#config.general;
    const start = async (): Promise<void> => {
      await this.#startHttp();
      // Clients are let in whether or not there is a mirror process yet: it is what is started last.
      await Promise.all([this.#threads.start(), this.#startMirrorChild()]);
    };
    await listenAlone(this.#config.general, this.#listenFds, start, giveUp);
    this.#state = 'running';
    const where = this.#listenFds.length === 0 ? { host, port } : { sockets: this.#listenFds.length };
    const mirrors = this.#config.mirroring.length;
    this.#logger.info({ processId: process.pid, ...where, workers, mirrors }, 'listening');
    const [limit = Infinity, needed] = [openFilesLimit(), openFilesNeeded(this.#config)];
    if (limit < needed)
      this.#logger.warn({ limit, needed }, 'too few open files are allowed (ulimit -n, LimitNOFILE=)');
    this.#openFiles = new OpenFilesWatch(this.#logger);
  }

  /**
   * Reads the files again and applies the whole, or nothing; what is applied at the next start alone is told. Rejects with
   * the reason why nothing was changed.
   */
  async reload(): Promise<Reloaded> {
    const reloaded = this.#reloading.then(() => this.#reload());
    this.#reloading = reloaded.then(
      () => undefined,
      () => undefined,
    );
    return reloaded;
  }

  async #reload(): Promise<Reloaded> {
    try {
      const after = await this.#load();
      const { needsRestart } = differences(this.#config, after);
      if (needsRestart.length > 0)
        this.#logger.warn({ keys: needsRestart }, 'changed keys take effect at the next start');
      const late = await this.#change(
        () => {
          this.#config = keepingWhatNeedsRestart(this.#config, after);
          this.#overrides.exposures.clear();
          this.#logger.level = after.general.log_level;
        },
        { look: true },
      );
      this.#logger.info('reloaded');
      return { atNextStart: needsRestart, late };
    } catch (error) {
      this.#logger.error({ reason: String(error instanceof Error ? error.message : error) }, 'not reloaded');
      throw error;
    }
  }

  shutdown(): void {
    this.#onShutdown();
  }

  async setGeneral(setting: GeneralSetting): Promise<void> {
    await this.#change(() => {
      this.#config = withSetting(this.#config, setting);
      this.#logger.level = this.#config.general.log_level;
    });
    this.#logger.info(setting, 'changed until the next reload');
  }

  async setExposure(destination: string, exposure: number): Promise<void> {
    await this.#change(() => this.#overrides.exposures.set(destination, exposure));
  }

  async setEnabled(destination: string, enabled: boolean): Promise<void> {
    await this.#change(() => {
      if (enabled) this.#overrides.disabled.delete(destination);
      else this.#overrides.disabled.add(destination);
    });
  }

  resetMirror(destination: string): Promise<void> {
    for (const target of this.#mirrorConfig().targets) {
      if (target.destination === destination) this.#mirrorChild?.resetMirror(target.id);
    }
    this.#logger.info({ destination }, 'mirror reset: it counts as a fresh copy');
    return Promise.resolve();
  }

  async resetStats(): Promise<void> {
    this.#counters.reset();
    this.#mirrorChild?.resetStatistics();
    this.#view.forget();
    await this.#threads.resetCounters();
  }

  pause(database: string | undefined): Promise<void> {
    return this.#threads.pause(database);
  }

  tellPools(what: 'resume' | 'reconnect' | 'kill', database: string | undefined): void {
    this.#threads.tell(what, database);
  }

  queries(): Promise<readonly QueryReport[]> {
    return this.#view.queries();
  }

  async explain(fingerprint: string): Promise<Plans> {
    return this.#plans.of(fingerprint, await this.#view.queries());
  }

  threads(options?: { readonly connections: boolean }): Promise<readonly ThreadSnapshot[]> {
    return this.#threads.snapshots(options);
  }

  statistics(): Promise<ReadonlyMap<string, PoolStatistics>> {
    return this.#threads.statistics();
  }

  async mirrors(): Promise<readonly MirrorView[]> {
    const statuses = new Map((await this.#mirrorChild?.status())?.map((status) => [status.id, status]));
    const counts = this.#counters.read();
    return this.#config.mirroring.flatMap((mirror) => {
      const id = this.#ids.idOf(mirror, this.#config);
      const base = {
        source: mirror.source_db,
        destination: mirror.destination_db,
        exposure: exposureOf(mirror, this.#overrides),
        ...this.#stateOf(mirror.destination_db, statuses.get(id)),
      };
      const mine = counts.filter((entry) => entry.mirror === id);
      return mine.length === 0 ? [{ ...base, ...NO_COUNTS, user: '' }] : mine.map((entry) => ({ ...base, ...entry }));
    });
  }

  /** A pgmirror looks at a source: its look is passed on to the mirrors that get what it would send, or soon might. */
  async #passLook(source: string, trail: readonly string[]): Promise<boolean> {
    const further = passedOn(trail, this.#instance);
    if (further === undefined) return false;
    const off = new Set((await this.#mirrorChild?.status())?.filter(isOff).map(({ id }) => id));
    const mirrors = this.#mirrorConfig().targets.filter((target) => target.source === source && !off.has(target.id));
    return leadBack(mirrors, { connect: connectServer, trail: further });
  }

  /** Lets clients finish, up to `shutdown_timeout`, and mirrors for a moment, then ends everything. */
  async stop(): Promise<{ cut: boolean }> {
    this.#state = 'draining';
    const timeoutMs = this.#config.general.shutdown_timeout;
    this.#logger.info({ timeoutMs }, 'stopping: no new clients, running transactions finish');
    const drained = await settlesWithin(this.#threads.drain(), timeoutMs);
    if (!drained) this.#logger.warn('clients were still there after shutdown_timeout: they are cut off');
    await this.#threads.finishMirroring();
    await this.stopNow();
    return { cut: !drained };
  }

  /** Ends everything at once. */
  stopNow(): Promise<void> {
    this.#stopped ??= this.#stopAll();
    return this.#stopped;
  }

  #stopped: Promise<void> | undefined;

  async #stopAll(): Promise<void> {
    const wasStarted = this.#state !== 'starting';
    this.#state = 'draining';
    this.#openFiles?.close();
    await this.#threads.stop();
    await this.#mirrorChild?.stop();
    await this.#http?.close();
    for (const entry of this.#counters.read()) {
      const name = this.#ids.nameOf(entry.mirror);
      const { total, replayed, failed, timedOut, dropped } = entry;
      const all = dropped.reduce((sum, count) => sum + count, 0);
      this.#logger.info({ ...name, user: entry.user, total, replayed, failed, timedOut, dropped: all }, 'mirrored');
    }
    if (wasStarted) this.#logger.info('stopped');
  }

  async #startHttp(): Promise<void> {
    const { http_host: host, http_port: port } = this.#config.general;
    if (port === undefined) return;
    const { HttpServer } = await import('../http/http-server.ts');
    this.#http = new HttpServer(this.#view, host);
    const listening = this.#http.listen({ host, port }).catch((error: NodeJS.ErrnoException) => {
      throw unusable(`${host}:${port} (http_port)`, error);
    });
    this.#logger.info({ host, port: await listening }, 'serving HTTP');
  }

  /** There is no mirror process as long as there are no mirrors. */
  async #startMirrorChild(): Promise<void> {
    if (this.#mirrorChild !== undefined || this.#config.mirroring.length === 0) return;
    this.#mirrorChild = new MirrorChild(this.#mirrorConfig(), {
      logger: this.#logger,
      onPath: (path) => this.#threads.mirrorAt(path),
      prepared: this.#prepared,
    });
  }

  /** `look`: the mirrors are looked at anew. Gives the threads that do not answer. */
  #change(change: () => void, options = { look: false }): Promise<readonly number[]> {
    const changed = this.#changing.then(() => this.#apply(change, options.look));
    this.#changing = changed.then(
      () => undefined,
      () => undefined,
    );
    return changed;
  }

  /** A mirror is known to the mirror process before, and until after, anybody records for it. */
  async #apply(change: () => void, look: boolean): Promise<readonly number[]> {
    // What would be started now, nobody would end.
    if (this.#stopped !== undefined) throw new Error('pgmirror is stopping');
    const [before, config] = [this.#mirrorConfig(), this.#config];
    change();
    const after = this.#mirrorConfig();
    try {
      await this.#startMirrorChild();
    } catch (error) {
      this.#config = config;
      throw error;
    }
    const kept = new Set(after.targets.map(({ id }) => id));
    const removed = before.targets.filter(({ id }) => !kept.has(id));
    await this.#mirrorChild?.configure({ ...after, targets: [...after.targets, ...removed] }, look);
    const late = await this.#threads.configure(this.#threadConfig());
    if (removed.length > 0) await this.#mirrorChild?.configure(after);
    return late;
  }

  #threadConfig(): ThreadConfig {
    return {
      pooler: poolerOptions(this.#config),
      routes: mirrorRoutes(this.#config, this.#ids, this.#overrides),
      queueBytes: this.#config.general.mirror_queue_bytes,
      logLevel: this.#config.general.log_level,
    };
  }

  #mirrorConfig(): MirrorProcessConfig {
    return {
      targets: mirrorTargets(this.#config, this.#ids, this.#overrides),
      sourceLogins: sourceLogins(this.#config),
      instance: this.#instance,
      logLevel: this.#config.general.log_level,
      queueBytes: this.#config.general.mirror_queue_bytes,
      report: {
        queries: this.#config.general.report_queries,
        statements: this.#config.general.log_statements,
      },
    };
  }

  #stateOf(
    destination: string,
    status: MirrorTargetStatus | undefined,
  ): Pick<MirrorView, 'state' | 'reason' | 'lagMs' | 'latencyMs'> {
    const known = stateOf(destination, this.#overrides, status);
    return { ...known, lagMs: status?.lagMs ?? 0, latencyMs: status?.latencyMs };
  }
}

function isOff({ state }: MirrorTargetStatus): boolean {
  return state === 'refused' || state === 'disabled';
}
