import type { Pool } from '../pool/pool.ts';
import type { ServerSession } from '../session/server-session.ts';
import { runTask } from './server-task.ts';
import type { Server } from './session-link.ts';

/** Gives an idle server connection back to its pool, with nothing in its session that is not followed. */
export function handBack(server: Server, pool: Pool<ServerSession>, timeoutMs: number): void {
  if (!server.state.unclean && !pool.options.resetAlways) {
    pool.release(server);
    return;
  }
  // A cancel of the client that had it must not hit what cleans up after that.
  if (server.cancels > 0) {
    server.awaitCancels(() => handBack(server, pool, timeoutMs));
    return;
  }
  if (server.closed) return;
  runTask(server, 'DISCARD ALL', timeoutMs, (result) => {
    if (result.outcome === 'error') server.close('cleanup_failed');
    if (result.outcome !== 'done') return;
    server.state.discarded();
    pool.release(server);
  });
}
