import { setTimeout as delay } from 'node:timers/promises';
import type { Config } from '../config/config.ts';
import type { HttpHost, MirrorFigures, PoolFigures, Readiness } from '../http/http-host.ts';
import { permittedTexts } from '../mirror/report/permitted-texts.ts';
import type { QueryReport } from '../mirror/report/query-report.ts';
import type { MirrorState, MirrorTargetStatus } from '../mirror/replay/mirror-process-messages.ts';
import type { ThreadSnapshot } from '../pooler/pooler-snapshot.ts';
import type { CounterBook } from './counter-book.ts';
import type { MirrorChild } from './mirror-child.ts';
import { mirrorFigures, sourceDatabases } from './mirror-figures.ts';
import { exposureOf } from './mirrors.ts';
import type { MirrorIds, MirrorOverrides } from './mirrors.ts';
import { SourceReach } from './source-reach.ts';

/** Whoever asks whether clients are served does not wait longer than this for what is to be told of mirrors. */
const MIRRORS_MS = 500;

/** Where the view looks. */
export interface TrafficSources {
  readonly version: string;
  readonly ids: MirrorIds;
  readonly counters: CounterBook;
  readonly overrides: MirrorOverrides;
  config(): Config;
  mirrorChild(): MirrorChild | undefined;
  snapshots(): Promise<readonly ThreadSnapshot[]>;
  state(): Readiness['state'];
}

/**
 * What HTTP shows, gathered from the threads and the mirror process. It remembers what the mirror process told last, and
 * shows that while there is none.
 */
export class TrafficView implements HttpHost {
  readonly #from: TrafficSources;
  readonly #reach = new SourceReach();
  readonly #statuses = new Map<number, MirrorTargetStatus>();
  #queries: readonly QueryReport[] = [];

  constructor(from: TrafficSources) {
    this.#from = from;
  }

  get version(): string {
    return this.#from.version;
  }

  get queueBytesLimit(): number {
    return this.#from.config().general.mirror_queue_bytes;
  }

  async mirrors(): Promise<readonly MirrorFigures[]> {
    const { ids, counters, overrides } = this.#from;
    // With their snapshots the threads tell of the errors that they have counted.
    const [told] = await Promise.all([this.#from.mirrorChild()?.status(), this.#from.snapshots()]);
    for (const status of told ?? []) this.#statuses.set(status.id, status);
    const live = new Set(told?.map(({ id }) => id));
    const counts = counters.read();
    const config = this.#from.config();
    return config.mirroring.map((mirror) => {
      const id = ids.idOf(mirror, config);
      const status = this.#statuses.get(id);
      return mirrorFigures({
        mirror,
        ...stateOf(mirror.destination_db, overrides, live.has(id) ? status : undefined),
        exposure: exposureOf(mirror, overrides),
        counts: counts.filter((entry) => entry.mirror === id),
        errors: counters.errorsOf(id),
        status,
        isLive: live.has(id),
      });
    });
  }

  async queries(): Promise<readonly QueryReport[]> {
    this.#queries = (await this.#from.mirrorChild()?.queries()) ?? this.#queries;
    // What was told last may have been told while more was permitted.
    const statements = this.#from.config().general.log_statements;
    return this.#queries.map((query) => permittedTexts(query, statements));
  }

  /** RESET STATS: nothing is known any more. */
  forget(): void {
    this.#queries = [];
  }

  async pools(): Promise<PoolFigures> {
    const snapshots = await this.#from.snapshots();
    const pools = snapshots.flatMap((thread) => thread.pools);
    const sum = (of: (pool: ThreadSnapshot['pools'][number]) => number): number =>
      pools.reduce((total, pool) => total + of(pool), 0);
    return {
      clientConnections: snapshots.reduce((total, thread) => total + thread.clientCount, 0),
      clientsWaiting: sum((pool) => pool.clientsWaiting),
      serversActive: sum((pool) => pool.serversActive),
      serversIdle: sum((pool) => pool.serversIdle),
      serversLogin: sum((pool) => pool.serversLogin),
      checkoutWaitSeconds: Math.max(0, ...pools.map((pool) => pool.longestWait)) / 1000,
    };
  }

  async readiness(): Promise<Readiness> {
    const told = this.#from
      .mirrorChild()
      ?.status()
      .then((statuses) => {
        for (const status of statuses ?? []) this.#statuses.set(status.id, status);
      });
    const inTime = delay(MIRRORS_MS, undefined, { ref: false });
    const [sources] = await Promise.all([
      this.#reach.of(sourceDatabases(this.#from.config())),
      Promise.race([told, inTime]),
    ]);
    const config = this.#from.config();
    // Those of the configuration: one that has moved since was another.
    const refused = config.mirroring.flatMap((mirror) => {
      const status = this.#statuses.get(this.#from.ids.idOf(mirror, config));
      return status?.state === 'refused' ? [[mirror.destination_db, status.reason] as const] : [];
    });
    return { state: this.#from.state(), sources, refused: Object.fromEntries(refused) };
  }
}

/** Whether the mirror is used, as far as that is known now. */
export function stateOf(
  destination: string,
  overrides: MirrorOverrides,
  status: MirrorTargetStatus | undefined,
): { readonly state: MirrorState; readonly reason: string } {
  if (overrides.disabled.has(destination)) return { state: 'disabled', reason: 'DISABLE MIRROR' };
  if (status === undefined) return { state: 'down', reason: 'the mirror process does not answer' };
  return { state: status.state, reason: status.reason };
}
