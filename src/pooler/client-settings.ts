import { parameterStatus } from '../protocol/backend-messages.ts';
import { settingsStatement } from '../session/settings.ts';
import { notified } from './notifier.ts';
import { runTask } from './server-task.ts';
import type { TaskResult } from './server-task.ts';
import type { Server, SessionLink } from './session-link.ts';

/** Whether the server's session has the client's settings already; the client is then told what it reports. */
export function hasClientSettings(link: SessionLink, server: Server): boolean {
  if (!server.state.applied.equals(link.settings)) return false;
  tellReported(link, server);
  return true;
}

/**
 * Gives the server's session the client's settings. `done` is called once, with what there is to say where it could not
 * have them: the connection is gone then.
 */
export function giveClientSettings(
  link: SessionLink,
  server: Server,
  timeoutMs: number,
  done: (failure: Exclude<TaskResult, { readonly outcome: 'done' }> | undefined) => void,
): void {
  const wanted = link.settings;
  const given = (result: TaskResult): void => {
    if (result.outcome !== 'done') {
      // Some of the settings may have been made.
      if (result.outcome === 'error') server.close('unclean');
      done(result);
      return;
    }
    server.state.given(wanted);
    tellReported(link, server);
    done(undefined);
  };
  // On a connection that the client keeps, it may be listening.
  const before = (type: number, message: Buffer): boolean => notified(link, server, type, message);
  runTask(server, settingsStatement(server.state.applied, wanted), timeoutMs, given, { before });
}

/** Tells the client what the server reports differently from what it was told last: at the beginning of a message. */
export function tellReported(link: SessionLink, server: Server): void {
  const now = server.state.reported;
  if (now === link.reported) return;
  if (!now.equals(link.reported) && !link.clientGone) {
    for (const [name, value] of now.entries) {
      if (link.reported.entries.get(name) !== value) link.client.write(parameterStatus(name, value));
    }
  }
  link.reported = now;
}
