import { spawn } from 'node:child_process';

/** The first file descriptor that a service manager passes (SD_LISTEN_FDS_START in sd-daemon.h). */
const LISTEN_FDS_START = 3;
const TIMEOUT_MS = 5_000;

/**
 * The listening sockets that systemd, or whoever starts services as it does, has opened for this very process
 * (sd_listen_fds(3)): their file descriptors, or none. The variables are taken out of the environment: they mean nothing to
 * this process's children.
 */
export function takeListenFds(environment: NodeJS.ProcessEnv, processId: number): readonly number[] {
  const { LISTEN_FDS: count, LISTEN_PID: forWhom } = environment;
  for (const name of ['LISTEN_FDS', 'LISTEN_PID', 'LISTEN_FDNAMES']) delete environment[name];
  if (count === undefined || forWhom !== String(processId) || !/^[1-9]\d{0,3}$/.test(count)) return [];
  return Array.from({ length: Number(count) }, (_, index) => LISTEN_FDS_START + index);
}

/**
 * Tells systemd how this service is (sd_notify(3)), where it wants to know. Node.js has no datagram unix sockets, so the
 * program systemd-notify says it. Settles when it has, or with the reason why it could not.
 */
export function notifyServiceManager(
  environment: NodeJS.ProcessEnv,
  ...assignments: readonly string[]
): Promise<string | undefined> {
  if (environment.NOTIFY_SOCKET === undefined || environment.NOTIFY_SOCKET === '') return Promise.resolve(undefined);
  const said = new Promise<string | undefined>((resolve) => {
    const child = spawn('systemd-notify', assignments, { stdio: 'ignore', timeout: TIMEOUT_MS });
    child.once('error', (error) => resolve(error.message));
    child.once('exit', (status, signal) => resolve(status === 0 ? undefined : `systemd-notify: ${signal ?? status}`));
  });
  // Where there is no memory for another process, spawn() throws.
  return said.catch((error: Error) => error.message);
}
