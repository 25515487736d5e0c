import { isIP } from 'node:net';
import { hostname } from 'node:os';

/**
 * Whether a request's Host header names this server. A page of another site can have its own name resolve to this
 * machine (DNS rebinding), and would then be let read what is here: so a name is taken only if no such site can have it,
 * that is an address, `localhost`, a name without a dot, this machine's own, or the configured one.
 */
export function isOwnHost(header: string | undefined, configured: string): boolean {
  const name = nameIn(header ?? '');
  if (name === '') return false;
  if (isIP(name) !== 0 || !name.includes('.') || name.endsWith('.localhost')) return true;
  return name === hostname().toLowerCase() || name === configured.toLowerCase();
}

/** The name without brackets and port; empty where it is malformed. */
function nameIn(header: string): string {
  const match = /^(?:\[([0-9a-f:.]+)\]|([a-z0-9._-]+))(?::\d{1,5})?$/i.exec(header);
  return (match?.[1] ?? match?.[2] ?? '').toLowerCase();
}
