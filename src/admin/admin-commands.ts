import type { AdminAnswer } from './admin-answer.ts';
import type { AdminHost } from './admin-host.ts';
import { editDistance, nearestName } from '../config/nearest-name.ts';
import { generalSetting } from '../config/set-general.ts';
import { explain } from './explain.ts';
import { showClients, showServers } from './show-connections.ts';
import { keyOfPgBouncer, showConfig, showVersion } from './show-config.ts';
import { showDatabases, showLists, showUsers } from './show-databases.ts';
import { showMirrors } from './show-mirrors.ts';
import { showPools } from './show-pools.ts';
import { showQueries } from './show-queries.ts';
import { showStats, showStatsAverages, showStatsTotals } from './show-stats.ts';

type Show = (host: AdminHost) => AdminAnswer | Promise<AdminAnswer>;

/** What SHOW shows, in the order of SHOW HELP. */
const shows: ReadonlyMap<string, Show> = new Map<string, Show>([
  ['MIRRORS', showMirrors],
  ['QUERIES', showQueries],
  ['POOLS', showPools],
  ['CLIENTS', showClients],
  ['SERVERS', showServers],
  ['STATS', showStats],
  ['STATS_TOTALS', showStatsTotals],
  ['STATS_AVERAGES', showStatsAverages],
  ['DATABASES', showDatabases],
  ['USERS', showUsers],
  ['LISTS', showLists],
  ['CONFIG', showConfig],
  ['VERSION', showVersion],
  ['HELP', showHelp],
]);

const commands: readonly { readonly syntax: string; readonly pattern: RegExp; readonly run: Run }[] = [
  { syntax: 'SHOW name', pattern: /^show\s+(\w+)$/i, run: show },
  { syntax: 'RELOAD', pattern: /^reload$/i, run: reload },
  { syntax: 'SHUTDOWN', pattern: /^shutdown$/i, run: shutdown },
  { syntax: 'PAUSE [database]', pattern: /^pause(?:\s+(.+))?$/i, run: pause },
  {
    syntax: 'RESUME [database]',
    pattern: /^resume(?:\s+(.+))?$/i,
    run: (host, name) => tellPools(host, 'resume', name),
  },
  {
    syntax: 'RECONNECT [database]',
    pattern: /^reconnect(?:\s+(.+))?$/i,
    run: (host, name) => tellPools(host, 'reconnect', name),
  },
  { syntax: 'KILL [database]', pattern: /^kill(?:\s+(.+))?$/i, run: (host, name) => tellPools(host, 'kill', name) },
  { syntax: 'EXPLAIN fingerprint', pattern: /^explain\s+'?([0-9a-f]{16})'?$/i, run: explain },
  { syntax: 'RESET STATS', pattern: /^reset\s+stats$/i, run: resetStats },
  {
    syntax: 'SET exposure = share FOR MIRROR name',
    pattern: /^set\s+exposure\s*(?:=|\bto\b)\s*(\S+)\s+for\s+mirror\s+(.+)$/i,
    run: setMirrorExposure,
  },
  { syntax: 'SET key = value', pattern: /^set\s+(?:session\s+)?(\w+)\s*(?:=|\bto\b)\s*(.+)$/is, run: setGeneral },
  { syntax: 'DISABLE MIRROR name', pattern: /^disable\s+mirror\s+(.+)$/i, run: disable },
  { syntax: 'ENABLE MIRROR name', pattern: /^enable\s+mirror\s+(.+)$/i, run: enable },
  { syntax: 'RESET MIRROR name', pattern: /^reset\s+mirror\s+(.+)$/i, run: resetMirror },
];

type Run = (host: AdminHost, ...groups: (string | undefined)[]) => AdminAnswer | Promise<AdminAnswer>;

/** Runs one command of the admin database. Never rejects: what goes wrong is the answer. */
export async function runAdminCommand(host: AdminHost, text: string): Promise<AdminAnswer> {
  for (const { pattern, run } of commands) {
    const match = pattern.exec(text.trim());
    if (match === null) continue;
    try {
      return await run(host, ...match.slice(1));
    } catch (error) {
      return { kind: 'error', code: 'XX000', message: error instanceof Error ? error.message : String(error) };
    }
  }
  if (setsWhatDriversNeed(text)) return { kind: 'done', tag: 'SET' };
  const list = commands.map(({ syntax }) => syntax).join(', ');
  return {
    kind: 'error',
    code: '42601',
    message: `unknown command: ${shortened(text)}`,
    hint: `Commands are: ${list}.`,
  };
}

/** Drivers and tools set what they need before they ask anything. */
function setsWhatDriversNeed(text: string): boolean {
  return /^\s*set\s+(?:session\s+)?(?:application_name|client_encoding|datestyle|extra_float_digits|client_min_messages|standard_conforming_strings|time\s*zone)\b/i.test(
    text,
  );
}

function shortened(text: string): string {
  return text.length > 100 ? `${text.slice(0, 100)}…` : text;
}

async function show(host: AdminHost, name = ''): Promise<AdminAnswer> {
  const found = shows.get(name.toUpperCase());
  if (found !== undefined) return found(host);
  const near = nearestName(name.toUpperCase(), [...shows.keys()]);
  const isNear = near !== undefined && editDistance(name.toUpperCase(), near) <= Math.max(2, name.length / 3);
  const hint = !isNear ? `SHOW knows ${[...shows.keys()].join(', ')}.` : `Perhaps you meant SHOW ${near}.`;
  return { kind: 'error', code: '42704', message: `unrecognized SHOW: ${name}`, hint };
}

function showHelp(): AdminAnswer {
  const lines = [...[...shows.keys()].map((name) => `SHOW ${name}`), ...commands.slice(1).map(({ syntax }) => syntax)];
  return {
    kind: 'rows',
    tag: 'SHOW',
    columns: [{ name: 'command', type: 'text' }],
    rows: lines.map((line) => [line]),
  };
}

async function reload(host: AdminHost): Promise<AdminAnswer> {
  try {
    const { atNextStart, late } = await host.reload();
    const remarks = [
      ...(atNextStart.length > 0 ? [`changed, and applied at the next start: ${atNextStart.join(', ')}`] : []),
      ...(late.length > 0 ? [`not applied yet by pooler threads that do not answer: ${late.join(', ')}`] : []),
    ];
    return { kind: 'done', tag: 'RELOAD', ...(remarks.length > 0 && { notice: remarks.join('; ') }) };
  } catch (error) {
    const reason = error instanceof Error ? error.message : String(error);
    return { kind: 'error', code: 'F0000', message: `configuration not reloaded: ${reason}` };
  }
}

function shutdown(host: AdminHost): AdminAnswer {
  host.shutdown();
  return { kind: 'done', tag: 'SHUTDOWN' };
}

async function resetStats(host: AdminHost): Promise<AdminAnswer> {
  await host.resetStats();
  return { kind: 'done', tag: 'RESET' };
}

async function pause(host: AdminHost, name?: string): Promise<AdminAnswer> {
  const database = databaseOf(host, name);
  if (typeof database === 'object') return database;
  await host.pause(database);
  return { kind: 'done', tag: 'PAUSE' };
}

function tellPools(host: AdminHost, what: 'resume' | 'reconnect' | 'kill', name: string | undefined): AdminAnswer {
  const database = databaseOf(host, name);
  if (typeof database === 'object') return database;
  host.tellPools(what, database);
  return { kind: 'done', tag: what.toUpperCase() };
}

async function setMirrorExposure(host: AdminHost, value = '', name = ''): Promise<AdminAnswer> {
  const share = shareOf(value);
  if (typeof share !== 'number') return share;
  const destination = mirrorOf(host, name);
  if (typeof destination !== 'string') return destination;
  await host.setExposure(destination, share);
  return { kind: 'done', tag: 'SET' };
}

async function setGeneral(host: AdminHost, name = '', value = ''): Promise<AdminAnswer> {
  const key = keyOfPgBouncer(name.toLowerCase());
  if (setsWhatDriversNeed(`SET ${key}`)) return { kind: 'done', tag: 'SET' };
  const result = generalSetting(host.config, key, value.replace(/^(['"])(.*)\1$/s, '$2'));
  if ('refusal' in result) return { kind: 'error', ...result.refusal };
  await host.setGeneral(result.setting);
  return { kind: 'done', tag: 'SET' };
}

async function disable(host: AdminHost, name = ''): Promise<AdminAnswer> {
  return switchMirror(host, name, false);
}

async function enable(host: AdminHost, name = ''): Promise<AdminAnswer> {
  return switchMirror(host, name, true);
}

async function resetMirror(host: AdminHost, name = ''): Promise<AdminAnswer> {
  const destination = mirrorOf(host, name);
  if (typeof destination !== 'string') return destination;
  await host.resetMirror(destination);
  return { kind: 'done', tag: 'RESET' };
}

async function switchMirror(host: AdminHost, name: string, enabled: boolean): Promise<AdminAnswer> {
  const destination = mirrorOf(host, name);
  if (typeof destination !== 'string') return destination;
  await host.setEnabled(destination, enabled);
  return { kind: 'done', tag: enabled ? 'ENABLE' : 'DISABLE' };
}

function shareOf(text: string): number | AdminAnswer {
  const bare = text.replace(/^'(.*)'$/, '$1');
  const share = bare.trim() === '' ? NaN : Number(bare);
  if (share >= 0 && share <= 1) return share;
  return {
    kind: 'error',
    code: '22023',
    message: `invalid exposure: ${text}`,
    hint: 'A number from 0 to 1 is accepted.',
  };
}

/** The database a name means; undefined without a name: all of them. */
function databaseOf(host: AdminHost, text: string | undefined): string | undefined | AdminAnswer {
  if (text === undefined) return undefined;
  const name = unquoted(text);
  const names = host.config.databases.map((database) => database.name);
  if (names.includes(name)) return name;
  const hint = `Databases are: ${names.join(', ')}.`;
  return { kind: 'error', code: '3D000', message: `database "${name}" does not exist`, hint };
}

function unquoted(text: string): string {
  return /^"(?:[^"]|"")*"$/.test(text) ? text.slice(1, -1).replaceAll('""', '"') : text;
}

/** The destination a name means: as it is, or quoted as an identifier. */
function mirrorOf(host: AdminHost, text: string): string | AdminAnswer {
  const name = unquoted(text);
  const names = host.config.mirroring.map((mirror) => mirror.destination_db);
  if (names.includes(name)) return name;
  const list = names.length === 0 ? 'There are no mirrors.' : `Mirrors are: ${names.join(', ')}.`;
  return { kind: 'error', code: '42704', message: `mirror "${name}" does not exist`, hint: list };
}
