import { parameterStatus } from '../protocol/backend-messages.ts';
import { TransactionStatus } from '../protocol/message-types.ts';
import type { ParameterSet } from '../session/parameter-set.ts';
import { isAscii, isSettable } from '../session/settings.ts';
import { readParameterStatus } from './parameter-status.ts';
import type { Server, SessionLink } from './session-link.ts';

const NOTHING = Buffer.alloc(0);

/**
 * Follows the ParameterStatus at `at`–`end` that a client's server connection sent. `undefined`: the client is told the
 * same; otherwise what it is told instead, possibly nothing.
 */
export function parameterReported(
  link: SessionLink,
  server: Server,
  bytes: Buffer,
  at: number,
  end: number,
): Buffer | undefined {
  const { name, value } = readParameterStatus(bytes, at, end);
  const state = server.state;
  const told = valueToTell(link, server, name, value);
  const before = link.reported.entries.get(name);
  const isSame = link.reported === state.reported && told === value;
  if (isSettable(name)) link.watch.reported(name, state.reported.entries.get(name), value);
  state.reported = state.reported.with(name, value);
  link.reported = isSame ? state.reported : link.reported.with(name, told);
  if (isSettable(name)) follow(link, server, name, value);
  // Its letters came in the client's encoding, which need not be the one they were read in.
  if (!isAscii(value) && state.reported.entries.get('client_encoding') !== 'UTF8') link.watch.unclear();
  if (told === value) return undefined;
  return told === before ? NOTHING : parameterStatus(name, told);
}

/** Whether the server tells of the parameter, and what it tells is followed. */
export function isReported(server: Server, name: string): boolean {
  if (!isSettable(name)) return false;
  for (const reported of server.state.reported.entries.keys()) if (reported.toLowerCase() === name) return true;
  return false;
}

/** RESET goes back to what the client logged in with, which its next transaction has; the server has its own value. */
function valueToTell(link: SessionLink, server: Server, name: string, value: string): string {
  const isReset = link.watch.resetting && server.status === TransactionStatus.Idle;
  if (!isReset || server.state.baseline.entries.get(name) !== value) return value;
  return link.loginSettings.entries.has(name.toLowerCase()) ? (link.loginReported.entries.get(name) ?? value) : value;
}

function follow(link: SessionLink, server: Server, name: string, value: string): void {
  const setting = name.toLowerCase();
  // What the client logged in with is one of its settings, whatever its value.
  const isBaseline = server.state.baseline.entries.get(name) === value && !link.loginSettings.entries.has(setting);
  const change = (set: ParameterSet): ParameterSet => (isBaseline ? set.without(setting) : set.with(setting, value));
  server.state.applied = change(server.state.applied);
  link.settings = change(link.settings);
}
