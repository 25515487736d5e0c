import type { Cleanup } from '../../support/cleanup.ts';
import { eventually } from '../../support/eventually.ts';
import { Pgmirror } from '../../support/pgmirror.ts';
import { query } from '../../support/postgres.ts';
import type { Address } from './contender.ts';
import { entryOf, POOL_SIZE } from './contenders.ts';
import { startScript } from './programs.ts';
import { urlOf, type Servers } from './servers.ts';

/** A mirror, and what happens to it once the first transaction has reached it. */
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
  { name: 'off', what: 'no mirror' },
  { name: 'healthy', what: 'a mirror as fast as the source', mode: '0' },
  { name: 'stopped', what: 'stopped with SIGSTOP', mode: '0', trouble: 'SIGSTOP' },
  { name: 'killed', what: 'killed', mode: '0', trouble: 'SIGKILL' },
  { name: 'slow', what: 'ten times slower: each answer 3 ms later', mode: '3' },
  { name: 'garbage', what: 'answers with random bytes', mode: 'garbage', unreachable: true },
  { name: 'silent', what: 'accepts connections and never answers', mode: 'silent', unreachable: true },
  { name: 'huge', what: 'sends 1 GB for an answer', mode: 'huge', unreachable: true },
  { name: 'off again', what: 'no mirror, once more: what the ratios vary by anyway' },
];

/** A row of SHOW MIRRORS; `undefined` where there is no mirror. */
export type MirrorRow = Awaited<ReturnType<Pgmirror['admin']>>[number] | undefined;

/** A pgmirror whose mirror is in one of the conditions. */
export interface Conditioned {
  readonly condition: MirrorCondition;
  readonly pgmirror: Pgmirror;
  /** Where clients of the source connect. */
  readonly address: Address;
  /** The process that stands before the mirror. */
  readonly sink: number | undefined;
}

/** Starts a pgmirror and has its mirror be in a condition. */
export async function startConditioned(
  cleanup: Cleanup,
  { source, mirror }: Servers,
  condition: MirrorCondition,
): Promise<Conditioned> {
  const { mode, trouble, unreachable } = condition;
  const sink =
    mode === undefined ? undefined : await startScript(cleanup, './sink.ts', [mirror.host, String(mirror.port), mode]);
  const destination = { ...mirror, host: '127.0.0.1', port: sink?.port ?? 0 };
  const mirrors = sink === undefined ? [] : [{ name: 'mirror', ...entryOf(destination) }];
  const pgmirror = await Pgmirror.start(cleanup, {
    general: { default_pool_size: POOL_SIZE, log_connections: false, tls_verify: 'disabled' },
    databases: [{ name: 'bench', ...entryOf(source) }, ...mirrors],
    mirroring: mirrors.map(() => ({ source_db: 'bench', destination_db: 'mirror' })),
    users: [{ name: source.user, database: 'bench', password: source.password }],
  });
  const address = { ...source, host: '127.0.0.1', port: pgmirror.port, database: 'bench' };
  await query(urlOf(address), 'SELECT 1');
  if (mode !== undefined && unreachable !== true) await replayed(pgmirror, address);
  if (trouble !== undefined) sink?.process.kill(trouble);
  return { condition, pgmirror, address, sink: trouble === 'SIGKILL' ? undefined : sink?.process.pid };
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
