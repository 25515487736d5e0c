import type { Cleanup } from '../../support/cleanup.ts';
import { eventually } from '../../support/eventually.ts';
import { Pgmirror } from '../../support/pgmirror.ts';
import { query } from '../../support/postgres.ts';
import type { Address } from './contender.ts';
import { entryOf, POOL_SIZE } from './contenders.ts';
import { startScript } from './programs.ts';
import { urlOf, type Servers } from './servers.ts';
import { Yielding } from './yielding.ts';

/** A mirror, and what happens to it once it has been used. */
export interface MirrorCondition {
  readonly name: string;
  readonly what: string;
  /** How `sink.ts` stands before the mirror; `undefined`: there is no mirror. */
  readonly mode?: string;
  readonly trouble?: NodeJS.Signals;
  /** Nothing can be seen to reach it. */
  readonly unreachable?: true;
}

export const mirrorConditions: readonly MirrorCondition[] = [
  { name: 'off', what: 'no mirror either: what the ratios vary by anyway' },
  { name: 'healthy', what: 'a mirror as fast as the source', mode: '0' },
  { name: 'stopped', what: 'stopped with SIGSTOP', mode: '0', trouble: 'SIGSTOP' },
  { name: 'killed', what: 'killed', mode: '0', trouble: 'SIGKILL' },
  { name: 'slow', what: 'ten times slower: each answer 3 ms later', mode: '3' },
  { name: 'slow-alone', what: 'the same, and no PostgreSQL computes the answers', mode: 'answer-3' },
  { name: 'garbage', what: 'answers with random bytes', mode: 'garbage', unreachable: true },
  { name: 'silent', what: 'accepts connections and never answers', mode: 'silent', unreachable: true },
  { name: 'huge', what: 'sends 1 GB for an answer', mode: 'huge', unreachable: true },
];

/** A row of SHOW MIRRORS; `undefined` where there is no mirror. */
export type MirrorRow = Awaited<ReturnType<Pgmirror['admin']>>[number] | undefined;

/** How long a queue may take to empty: longer than a request may take on a mirror (`timeout`). */
const DRAIN_MS = 40_000;

/** The one pgmirror before the source, to which mirrors are added and from which they are removed while it runs. */
export interface Mirrored {
  readonly pgmirror: Pgmirror;
  /** Where clients of the source connect. */
  readonly address: Address;
  readonly servers: Servers;
}

/** Starts it without a mirror. */
export async function startMirrored(cleanup: Cleanup, servers: Servers): Promise<Mirrored> {
  const { source } = servers;
  const pgmirror = await Pgmirror.start(cleanup, {
    general: { default_pool_size: POOL_SIZE, log_connections: false, tls_verify: 'disabled' },
    databases: [{ name: 'bench', ...entryOf(source) }],
    users: [{ name: source.user, database: 'bench', password: source.password }],
  });
  const address = { ...source, host: '127.0.0.1', port: pgmirror.port, database: 'bench' };
  await query(urlOf(address), 'SELECT 1');
  return { pgmirror, address, servers };
}

/** A mirror that was added by a reload. */
export interface AddedMirror {
  /** The process that stands before it; `undefined`: it has been killed. */
  readonly standIn: number | undefined;
}

/** Adds a mirror, has it used by `use`, and then has it be in its condition; it is removed when the part is over. */
export async function addMirror(
  cleanup: Cleanup,
  { pgmirror, address, servers: { source, mirror } }: Mirrored,
  { mode = '0', trouble, unreachable }: MirrorCondition,
  use: () => Promise<unknown>,
): Promise<AddedMirror> {
  const sink = await startScript(cleanup, './sink.ts', [mirror.host, String(mirror.port), mode]);
  const yielding = await Yielding.start([sink.process.pid ?? 0]);
  cleanup.after(() => yielding.stop());
  const bench = { name: 'bench', ...entryOf(source) };
  const destination = { ...mirror, host: '127.0.0.1', port: sink.port };
  await pgmirror.reload({
    databases: [bench, { name: 'mirror', ...entryOf(destination) }],
    mirroring: [{ source_db: 'bench', destination_db: 'mirror' }],
  });
  cleanup.after(async () => {
    // What is still queued must not be replayed in somebody else's turn.
    sink.process.kill('SIGKILL');
    const empty = async (): Promise<boolean> => Number((await mirrorRow(pgmirror))?.queue_length ?? 0) === 0;
    await eventually(empty, { what: 'the queue to be empty', timeoutMs: DRAIN_MS });
    await pgmirror.reload({ databases: [bench], mirroring: [] });
  });
  if (unreachable !== true) await replayed(pgmirror, address);
  await use();
  if (trouble !== undefined) sink.process.kill(trouble);
  return { standIn: trouble === 'SIGKILL' ? undefined : sink.process.pid };
}

/** What an operator sees of the mirror. */
export async function mirrorRow(pgmirror: Pgmirror): Promise<MirrorRow> {
  const rows = await pgmirror.admin('SHOW MIRRORS');
  return rows.find(({ total_count }) => Number(total_count) > 0) ?? rows[0];
}

/** Waits until something has been replayed. */
async function replayed(pgmirror: Pgmirror, address: Address): Promise<void> {
  await eventually(async () => {
    await query(urlOf(address), 'SELECT count(*) FROM pgbench_branches');
    return Number((await mirrorRow(pgmirror))?.mirrored_count) > 0;
  });
}
