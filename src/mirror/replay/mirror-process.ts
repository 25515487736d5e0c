import { chmodSync, rmSync } from 'node:fs';
import { createServer } from 'node:net';
import { dirname } from 'node:path';
import { Worker } from 'node:worker_threads';
import { pino } from 'pino';
import { connectServer } from '../../pool/connect-server.ts';
import { entryFile } from '../../util/entry-file.ts';
import { logDestination } from '../../util/log-destination.ts';
import { QueryIdentifier } from '../report/query-identifier.ts';
import { TrafficReport } from '../report/traffic-report.ts';
import { giveWay } from './give-way.ts';
import { MirrorProcess } from './mirror-process-core.ts';
import type { FromMirrorProcess, ToMirrorProcess } from './mirror-process-messages.ts';

/**
 * The mirror process: everything behind the queue. Its parent spawns it with an IPC channel and two arguments, the path
 * of the unix socket to listen on (in a directory that only they can enter) and the log level; messages are those of
 * `mirror-process-messages.ts`. It ends with its parent, whatever way that ends.
 */

const [, , socketPath = '', level = 'info'] = process.argv;
const logger = pino({ level, base: { process: 'mirror' } }, logDestination({ sync: true }));

process.on('uncaughtException', (error) => die(error));
process.on('unhandledRejection', (error) => die(error));
// The parent decides when this process ends; a signal to the whole process group is the parent's to act on.
process.on('SIGINT', () => undefined);
process.on('SIGTERM', () => undefined);
process.on('SIGHUP', () => undefined);
process.on('SIGUSR1', () => undefined);
process.on('SIGUSR2', () => undefined);
process.on('disconnect', () => {
  // The private folder is the parent's, which can no longer remove it.
  rmSync(dirname(socketPath), { recursive: true, force: true });
  process.exit(0);
});
process.on('exit', () => rmSync(socketPath, { force: true }));

function die(error: unknown): never {
  logger.fatal({ err: error }, 'mirror process failed');
  process.exit(1);
}

function tell(message: FromMirrorProcess): void {
  if (process.connected) process.send?.(message);
}

if (!process.send || socketPath === '') die(new Error('to be started by pgmirror, with an IPC channel'));

// Ends the process when the parent is gone and this thread is too busy to notice.
new Worker(entryFile('./parent-watchdog', import.meta.url), {
  workerData: { parent: process.ppid, socketPath },
}).unref();

const report = new TrafficReport(await QueryIdentifier.load(), logger);
const core = new MirrorProcess({ connect: connectServer, logger, report, tell });
process.on('message', (message: ToMirrorProcess) => core.message(message));

rmSync(socketPath, { force: true });
const server = createServer((socket) => core.accept(socket));
server.on('error', die);
server.listen(socketPath, () => {
  chmodSync(socketPath, 0o600);
  giveWay();
  tell({ type: 'ready', socketPath });
});
