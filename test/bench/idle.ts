import { once } from 'node:events';
import { writeFile } from 'node:fs/promises';
import { connect, type Socket } from 'node:net';

import { cstr, msg, startup } from '../support/bytes.ts';
import type { Cleanup } from '../support/cleanup.ts';
import { Pgmirror } from '../support/pgmirror.ts';
import { benchArguments } from './stand/arguments.ts';
import { benchRun, scoped } from './stand/bench-run.ts';
import type { Address } from './stand/contender.ts';
import { entryOf, POOL_SIZE } from './stand/contenders.ts';
import { pgbenchMissing, quantile, runPgbench } from './stand/pgbench.ts';
import { residentMemory } from './stand/processor-time.ts';
import { openServers, type Servers } from './stand/servers.ts';
import { median } from './stand/summary.ts';
import { figure, table } from './stand/table.ts';

/**
 * What ten thousand idle clients cost: memory, and the latency of a hundred busy ones among them. Not a test: it decides
 * nothing. How to run it is in docs/performance.md.
 */
const given = benchArguments({ seconds: 4, rounds: 3 });
const IDLE = given.smoke ? 500 : 10_000;
const ACTIVE = given.smoke ? 10 : 100;
const TOGETHER = 100;

/** Latencies in milliseconds, memory in bytes a client. */
interface Round {
  readonly alone: { readonly p50: number; readonly p99: number };
  readonly among: { readonly p50: number; readonly p99: number };
  readonly bytesPerClient: number;
}

await benchRun(async (cleanup) => {
  const missing = pgbenchMissing();
  if (missing !== undefined) throw new Error(missing);
  const servers = await openServers(cleanup, { urls: given.urls, scale: given.smoke ? 1 : 10 });
  console.log(`# ${servers.told}; ${IDLE} idle clients that have each run one query, ${ACTIVE} active ones with -S`);
  for (const mirrored of [false, true]) {
    const rounds: Round[] = [];
    for (let round = 0; round < given.rounds; round++) {
      rounds.push(await scoped(async (scope) => measureRound(scope, servers, mirrored)));
    }
    console.log(report(mirrored, rounds));
    if (given.json !== undefined)
      await writeFile(`${given.json}${mirrored ? '.mirrored' : ''}`, JSON.stringify(rounds));
  }
});

async function measureRound(cleanup: Cleanup, servers: Servers, mirrored: boolean): Promise<Round> {
  const { source, mirror } = servers;
  const mirrors = mirrored ? [{ name: 'mirror', ...entryOf(mirror) }] : [];
  const pgmirror = await Pgmirror.start(cleanup, {
    general: {
      ...{ default_pool_size: POOL_SIZE, max_client_connections: IDLE + 200, max_login_connections: IDLE },
      ...{ auth_type: 'trust', log_connections: false, tls_verify: 'disabled' },
    },
    databases: [{ name: 'bench', ...entryOf(source) }, ...mirrors],
    mirroring: mirrors.map(() => ({ source_db: 'bench', destination_db: 'mirror', exposure: 0.01 })),
    users: [{ name: source.user, database: 'bench', password: source.password }],
  });
  const address = { ...source, host: '127.0.0.1', port: pgmirror.port, database: 'bench' };
  // Warms up, so that what the program itself still takes is not put down to the idle clients.
  const alone = await latency(address);
  const before = residentMemory([pgmirror.processId]);
  const sockets = await openIdle(cleanup, address);
  const bytesPerClient = (residentMemory([pgmirror.processId]) - before) / sockets.length;
  const among = await latency(address);
  return { alone, among, bytesPerClient };
}

/** At a rate that leaves most of the processor free. */
async function latency(address: Address): Promise<{ readonly p50: number; readonly p99: number }> {
  const parameters = ['-S', '-c', String(ACTIVE), '-R', '2000'];
  const options = { seconds: given.seconds, sampling: 1, parameters, mark: () => undefined };
  const { latencies } = await runPgbench(address, options);
  return { p50: quantile(latencies, 0.5), p99: quantile(latencies, 0.99) };
}

async function openIdle(cleanup: Cleanup, address: Address): Promise<Socket[]> {
  const sockets: Socket[] = [];
  cleanup.after(() => {
    for (const socket of sockets) socket.destroy();
  });
  while (sockets.length < IDLE) {
    const opened = await Promise.all(Array.from({ length: TOGETHER }, async () => openClient(address)));
    sockets.push(...opened);
  }
  return sockets;
}

/** A client that has logged in and run one query. */
async function openClient({ host, port, user, database }: Address): Promise<Socket> {
  const socket = connect({ host, port });
  socket.on('error', () => socket.destroy());
  await once(socket, 'connect');
  socket.write(startup({ user, database }));
  await readyForQuery(socket);
  socket.write(msg('Q', cstr('SELECT 1')));
  await readyForQuery(socket);
  return socket;
}

/** Resolves with the chunk that a ReadyForQuery ends. */
async function readyForQuery(socket: Socket): Promise<void> {
  for (;;) {
    const [chunk] = (await once(socket, 'data')) as [Buffer];
    if (chunk.at(-6) === 0x5a) return;
    if (chunk[0] === 0x45) throw new Error(`a client was refused: ${chunk.toString('latin1', 5)}`);
  }
}

function report(mirrored: boolean, rounds: readonly Round[]): string {
  const of = (value: (round: Round) => number): number => median(rounds.map(value));
  const row = (name: string, value: (round: Round) => readonly [number, number]): string[] => {
    const [alone, among] = [of((round) => value(round)[0]), of((round) => value(round)[1])];
    return [
      name,
      figure(alone, 2),
      figure(among, 2),
      figure(
        of((round) => value(round)[1] / value(round)[0]),
        2,
      ),
    ];
  };
  const kibibytes = figure(of(({ bytesPerClient }) => bytesPerClient) / 1_024);
  const title = `${mirrored ? 'with a mirror' : 'no mirror'}: ${kibibytes} KiB an idle client`;
  const rows = [
    row('p50 ms', ({ alone, among }) => [alone.p50, among.p50]),
    row('p99 ms', ({ alone, among }) => [alone.p99, among.p99]),
  ];
  return table([title, `${ACTIVE} alone`, `among ${IDLE} idle`, 'ratio'], rows);
}
