import type { Connect } from './connect.ts';
import { mirrorObjections } from './mirror-objections.ts';
import type { MirrorTargetConfig, SourceLogin } from './mirror-process-messages.ts';
import { serverLoginOf, sourceLoginOf } from './target-options.ts';

/** Class 28, invalid authorization: the mirror is there, and refuses this login. */
export function isLoginRefusal(error: unknown): boolean {
  return String((error as { code?: unknown }).code).startsWith('28');
}

/** As so many users is a look tried where the mirror refuses one. */
const MOST_LOGINS = 10;

/** A look at a mirror with the logins there are for it; what comes of it is `mirrorObjections`'s. */
export async function lookAt(
  config: MirrorTargetConfig,
  options: { readonly connect: Connect; readonly source: SourceLogin | undefined; readonly applicationName: string },
): Promise<readonly string[]> {
  const logins = [...(config.fallback === undefined ? [] : [config.fallback]), ...config.users].slice(0, MOST_LOGINS);
  // Nothing can be sent to it.
  if (logins.length === 0) return [];
  if (options.source === undefined)
    return ['no login to the source is known, to find out whether it is another database'];
  const parameters = { application_name: options.applicationName };
  const source = { ...sourceLoginOf(options.source, config.connectTimeoutMs), parameters };
  let refused: unknown;
  for (const login of logins) {
    try {
      const mirror = { ...serverLoginOf(config, login), parameters };
      return await mirrorObjections(options.connect, { source, mirror }, config);
    } catch (error) {
      // It may know another user.
      if (!isLoginRefusal(error)) throw error;
      refused = error;
    }
  }
  throw refused;
}
