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

/**
 * Runs pgmirror until a signal, and gives the exit status. Throws ConfigError for a bad configuration. A first SIGTERM or
 * SIGINT lets clients finish, a second ends everything at once; SIGHUP reloads; SIGUSR1 pauses and SIGUSR2 resumes, as
 * they do PgBouncer (left alone, the one opens Node's debugger and the other ends the process).
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
  const handlers = signalHandlers(supervisor, stop, logger);
  for (const [signal, handler] of handlers) process.on(signal, handler);
  try {
    await supervisor.start(stop.signal);
    await notify(logger, 'READY=1', `MAINPID=${process.pid}`);
    return await stopWhenAsked(supervisor, stop, logger);
  } catch (error) {
    if (stop.signal.aborted && error === stop.signal.reason) {
      logger.info('stopped before it has listened');
      return ExitStatus.Fine;
    }
    logger.fatal({ reason: error instanceof Error ? error.message : String(error) }, 'cannot run');
    await supervisor.stopNow();
    return ExitStatus.Failed;
  } finally {
    for (const [signal, handler] of handlers) process.off(signal, handler);
  }
}

function signalHandlers(
  supervisor: Supervisor,
  stop: StopSignal,
  logger: Logger,
): readonly [NodeJS.Signals, () => void][] {
  const pause = (): void => {
    logger.info('SIGUSR1: all databases pause');
    void supervisor.pause(undefined).catch((error: Error) => logger.warn({ reason: error.message }, 'cannot pause'));
  };
  const resume = (): void => {
    logger.info('SIGUSR2: all databases resume');
    supervisor.tellPools('resume', undefined);
  };
  return [
    ['SIGTERM', stop.ask],
    ['SIGINT', stop.ask],
    // A reload that is refused has said so in the log.
    ['SIGHUP', () => void supervisor.reload().catch(() => undefined)],
    ['SIGUSR1', pause],
    ['SIGUSR2', resume],
  ];
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
  readonly #controller = new AbortController();
  readonly #first = Promise.withResolvers<void>();
  readonly #second = Promise.withResolvers<void>();
  readonly ask = (): void => {
    this.#asked++;
    this.#controller.abort();
    if (this.#asked === 1) this.#first.resolve();
    else this.#second.resolve();
  };

  /** For what has not begun yet. */
  get signal(): AbortSignal {
    return this.#controller.signal;
  }

  get first(): Promise<void> {
    return this.#first.promise;
  }

  get second(): Promise<void> {
    return this.#second.promise;
  }
}
