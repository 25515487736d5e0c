import type { Config } from '../config/config.ts';
import type { MirroringConfig } from '../config/mirroring-schema.ts';
import { controlled } from '../config/controlled.ts';
import { mirrorCredentials, unattendedCredentials } from '../config/server-login.ts';
import type { MirrorRoute } from '../mirror/record/recording-desk.ts';
import type { MirrorTargetConfig, SourceLogin } from '../mirror/replay/mirror-process-messages.ts';
import { resetsAlways, serverParameters } from './thread-config.ts';

/** What was changed of single mirrors while they run; exposures hold until the next reload. */
export interface MirrorOverrides {
  /** By destination. */
  readonly exposures: Map<string, number>;
  /** Destinations that were disabled. */
  readonly disabled: Set<string>;
}

/** Gives each mirror a number that no other ever has, as long as the process runs. */
export class MirrorIds {
  readonly #ids = new Map<string, number>();
  readonly #names = new Map<number, { readonly source: string; readonly destination: string }>();

  /** The mirror's number; another one where the destination has moved to another server. */
  idOf(mirror: MirroringConfig, config: Config): number {
    const destination = config.databases.find(({ name }) => name === mirror.destination_db);
    const place = [destination?.host, destination?.port, destination?.database_name];
    const key = JSON.stringify([mirror.source_db, mirror.destination_db, ...place]);
    let id = this.#ids.get(key);
    if (id === undefined) {
      id = this.#ids.size + 1;
      this.#ids.set(key, id);
      this.#names.set(id, { source: mirror.source_db, destination: mirror.destination_db });
    }
    return id;
  }

  nameOf(id: number): { readonly source: string; readonly destination: string } | undefined {
    return this.#names.get(id);
  }
}

/** The exposure that counts for a mirror. */
export function exposureOf(mirror: MirroringConfig, overrides: MirrorOverrides): number {
  return overrides.exposures.get(mirror.destination_db) ?? mirror.exposure;
}

/** Mirrors as the pooler threads see them. */
export function mirrorRoutes(config: Config, ids: MirrorIds, overrides: MirrorOverrides): MirrorRoute[] {
  return config.mirroring.map((mirror) => ({
    id: ids.idOf(mirror, config),
    source: mirror.source_db,
    destination: mirror.destination_db,
    queueLength: mirror.queue_length,
    maxTransactionSize: mirror.max_transaction_size,
    enabled: !overrides.disabled.has(mirror.destination_db),
    ...(mirror.compare ? { compareSample: mirror.compare_sample } : {}),
    ...selectionOf(controlled(config.mirroring, mirror) ?? mirror, overrides),
  }));
}

/** Which transactions a mirror takes, by what is known when they begin. */
function selectionOf(
  mirror: MirroringConfig,
  overrides: MirrorOverrides,
): Pick<MirrorRoute, 'exposure' | 'sticky' | 'users' | 'applicationNames'> {
  return {
    exposure: exposureOf(mirror, overrides),
    sticky: mirror.sticky,
    users: mirror.users && new Set(mirror.users),
    applicationNames: mirror.application_names && new Set(mirror.application_names),
  };
}

/** Mirrors as the mirror process sees them. */
export function mirrorTargets(config: Config, ids: MirrorIds, overrides: MirrorOverrides): MirrorTargetConfig[] {
  return config.mirroring.map((mirror) => mirrorTarget(mirror, config, ids, overrides));
}

function mirrorTarget(
  mirror: MirroringConfig,
  config: Config,
  ids: MirrorIds,
  overrides: MirrorOverrides,
): MirrorTargetConfig {
  const destination = config.databases.find(({ name }) => name === mirror.destination_db);
  if (destination === undefined) throw new Error(`no database ${mirror.destination_db}`);
  const source = config.databases.find(({ name }) => name === mirror.source_db);
  const names = new Set(config.users.map(({ name }) => name));
  const users = [...names].flatMap((name) => {
    const credentials = mirrorCredentials(config, name, destination);
    if (credentials === undefined || credentials.verifierOnly) return [];
    return [{ name, user: credentials.user, password: credentials.password }];
  });
  const { general } = config;
  return {
    id: ids.idOf(mirror, config),
    source: mirror.source_db,
    destination: mirror.destination_db,
    address: { host: destination.host, port: destination.port },
    tls: config.tls.servers,
    database: destination.database_name,
    users,
    fallback: destination.user === undefined ? undefined : { user: destination.user, password: destination.password },
    poolSize: destination.pool_size ?? general.default_pool_size,
    pinnedPoolSize: destination.pinned_pool_size ?? general.pinned_pool_size,
    timing: mirror.timing,
    timeoutMs: mirror.timeout,
    maxLagMs: mirror.max_lag,
    connectTimeoutMs: general.connect_timeout,
    preparedStatementsLimit: general.prepared_statements_limit,
    parameters: serverParameters(destination),
    resetAlways: source !== undefined && resetsAlways(config, source),
    level: mirror.level,
    query: mirror.query,
    excludeQuery: mirror.exclude_query,
    enabled: !overrides.disabled.has(mirror.destination_db),
    allowSideEffects: mirror.allow_side_effects,
    isControl: controlled(config.mirroring, mirror) !== undefined,
    compare: mirror.compare
      ? { logMismatches: mirror.log_mismatches, control: controlOf(mirror, config, ids) }
      : undefined,
  };
}

function controlOf(mirror: MirroringConfig, config: Config, ids: MirrorIds): number | undefined {
  const { source_db: source, control } = mirror;
  if (control === undefined) return undefined;
  const found = config.mirroring.find((other) => other.source_db === source && other.destination_db === control);
  return found && ids.idOf(found, config);
}

/** How to look at the sources, for the safety checks. */
export function sourceLogins(config: Config): SourceLogin[] {
  const sources = new Set(config.mirroring.map((mirror) => mirror.source_db));
  return [...sources].flatMap((name) => {
    const database = config.databases.find((candidate) => candidate.name === name);
    if (database === undefined) return [];
    const credentials = unattendedCredentials(config, database);
    if (credentials === undefined) return [];
    return [
      {
        source: name,
        address: { host: database.host, port: database.port },
        tls: config.tls.servers,
        database: database.database_name,
        user: credentials.user,
        password: credentials.password,
      },
    ];
  });
}
