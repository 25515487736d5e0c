import { CIRCLE_SQLSTATE, lookName, LOOP_SQLSTATE } from '../record/look-name.ts';
import type { Connect } from './connect.ts';
import { ControlSession } from './control-session.ts';
import type { MirrorTargetConfig } from './mirror-process-messages.ts';
import { isLoginRefusal } from './safety-look.ts';
import { serverLoginOf } from './target-options.ts';

/** How long the first to pass a look on waits for what its mirrors say; each further one half as long. */
const WAIT_MS = 2_000;
/** As so many users is it tried. */
const MOST_LOGINS = 10;

/**
 * Whether one of these mirrors leads back to a pgmirror of the trail. They are logged in to with the trail, and asked
 * nothing: a pgmirror that is in it, or knows that one of its own mirrors is, refuses the login. A mirror that cannot be
 * reached in time leads nowhere: it is looked at when it is back.
 */
export async function leadBack(
  mirrors: readonly MirrorTargetConfig[],
  options: { readonly connect: Connect; readonly trail: readonly string[] },
): Promise<boolean> {
  const found = await Promise.all(mirrors.map(async (mirror) => leadsBack(mirror, options)));
  return found.includes(true);
}

async function leadsBack(
  config: MirrorTargetConfig,
  { connect, trail }: { readonly connect: Connect; readonly trail: readonly string[] },
): Promise<boolean> {
  const logins = [...(config.fallback === undefined ? [] : [config.fallback]), ...config.users].slice(0, MOST_LOGINS);
  const until = performance.now() + Math.min(config.connectTimeoutMs, WAIT_MS / 2 ** (trail.length - 2));
  for (const login of logins) {
    const timeoutMs = until - performance.now();
    if (timeoutMs <= 0) return false;
    const parameters = { application_name: lookName(trail) };
    try {
      return await ControlSession.with(connect, { ...serverLoginOf(config, login), parameters, timeoutMs }, () =>
        Promise.resolve(false),
      );
    } catch (error) {
      const code = (error as { code?: unknown }).code;
      if (code === LOOP_SQLSTATE || code === CIRCLE_SQLSTATE) return true;
      // It may know another user.
      if (!isLoginRefusal(error)) return false;
    }
  }
  return false;
}
