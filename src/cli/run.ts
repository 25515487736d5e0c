import { randomBytes } from 'node:crypto';
import { pino } from 'pino';
import type { Logger } from 'pino';
import type { Config } from '../config/config.ts';
import { loadConfig } from '../config/load-config.ts';
import { withoutNeedlessPasswords } from '../supervisor/needless-passwords.ts';
import { notifyServiceManager, takeListenFds } from '../supervisor/service-manager.ts';
import { Supervisor } from '../supervisor/supervisor.ts';
import { logDestination } from '../util/log-destination.ts';
import { ExitStatus } from './exit-status.ts';
import { packageVersion } from './package-version.ts';

const SIGNALS = ['SIGTERM', 'SIGINT'] as const;

/**
 * Runs pgmirror until a signal, and gives the exit status. Throws ConfigError for a bad configuration. A first SIGTERM or
 * SIGINT lets clients finish, a second ends everything at once; SIGHUP reloads.
 */
export async function run(options: { readonly config: string; readonly users: string }): Promise<number> {
  const mockSecret = randomBytes(32);
  const load = async (): Promise<Config> => withoutNeedlessPasswords(loadConfig(options, process.env), mockSecret);
  const config = await load();
  const logger = pino(
    { level: config.general.log_level, base: { process: 'supervisor' } },
    logDestination({ sync: true }),
  );
  const stop = new StopSignal();
  const version = packageVersion();
  const listenFds = takeListenFds(process.env, process.pid);
  const onShutdown = (): void => stop.ask();
  const supervisor = new Supervisor({ config, load, mockSecret, logger, version, listenFds, onShutdown });
  // A reload that is refused has said so in the log.
  const reload = (): void => void supervisor.reload().catch(() => undefined);
  for (const signal of SIGNALS) process.on(signal, stop.ask);
  process.on('SIGHUP', reload);
  try {
    await supervisor.start();
    await notify(logger, 'READY=1', `MAINPID=${process.pid}`);
    return await stopWhenAsked(supervisor, stop, logger);
  } catch (error) {
    logger.fatal({ reason: error instanceof Error ? error.message : String(error) }, 'cannot run');
    await supervisor.stopNow();
    return ExitStatus.Failed;
  } finally {
    for (const signal of SIGNALS) process.off(signal, stop.ask);
    process.off('SIGHUP', reload);
  }
}

async function notify(logger: Logger, ...assignments: readonly string[]): Promise<void> {
  const failure = await notifyServiceManager(process.env, ...assignments);
  if (failure !== undefined) logger.warn({ reason: failure }, 'systemd could not be told how this service is');
}

async function stopWhenAsked(supervisor: Supervisor, stop: StopSignal, logger: Logger): Promise<number> {
  await stop.first;
  void notify(logger, 'STOPPING=1');
  const gently = supervisor.stop();
  const cut = await Promise.race([gently.then((ended) => ended.cut), stop.second.then(() => 'now' as const)]);
  if (cut === 'now') {
    logger.warn('asked to stop a second time: everything ends at once');
    await supervisor.stopNow();
  }
  return cut === false ? ExitStatus.Fine : ExitStatus.Failed;
}

/** Who was asked to stop, and how often. */
class StopSignal {
  #asked = 0;
  readonly #first = Promise.withResolvers<void>();
  readonly #second = Promise.withResolvers<void>();
  readonly ask = (): void => {
    this.#asked++;
    if (this.#asked === 1) this.#first.resolve();
    else this.#second.resolve();
  };

  get first(): Promise<void> {
    return this.#first.promise;
  }

  get second(): Promise<void> {
    return this.#second.promise;
  }
}
