import type { GeneralConfig } from '../config/general-schema.ts';
import { socketPath } from '../net/server-socket.ts';
import { claimPort, claimSocketPath } from './exclusive-address.ts';
import { startLock } from './start-lock.ts';
import type { ListenAddress } from './thread-messages.ts';

/**
 * Runs what listens, when it is sure that nobody else does there, nor begins to meanwhile. Nothing is started for an instance
 * that cannot listen: rejects with the reason, which is that of `giveUp` where another one's start is not waited for any
 * more. `passed`: sockets that listen already.
 */
export async function listenAlone(
  general: GeneralConfig,
  passed: readonly number[],
  start: () => Promise<void>,
  giveUp: AbortSignal,
): Promise<void> {
  const { port, workers } = general;
  if (passed.length > 0 && passed.length < workers) {
    throw new Error(`${passed.length} listening sockets were passed, and workers = ${workers} need one each`);
  }
  if (passed.length > 0) return start();
  const letGo = await startLock(port, giveUp);
  try {
    await claimAddresses(general);
    await start();
  } finally {
    letGo();
  }
}

async function claimAddresses(general: GeneralConfig): Promise<void> {
  const { host, port, reuse_port: reusePort, unix_socket_dir: directory } = general;
  if (!reusePort) await claimPort(host, port);
  if (directory !== undefined) await claimSocketPath(socketPath({ host: directory, port }));
}

/** Where a pooler thread listens. Sockets that were `passed` are dealt out, and stand in for those of the configuration. */
export function listenAddresses(
  general: GeneralConfig,
  passed: readonly number[],
  thread: number,
): readonly ListenAddress[] {
  const { host, port, reuse_port: reusePort, workers, unix_socket_dir: directory } = general;
  if (passed.length > 0) return passed.filter((_, index) => index % workers === thread).map((fd) => ({ fd }));
  const addresses: ListenAddress[] = [{ host, port, reusePort: reusePort || workers > 1 }];
  // A unix socket cannot be shared: one thread has it.
  if (thread === 0 && directory !== undefined) addresses.push({ path: socketPath({ host: directory, port }) });
  return addresses;
}
