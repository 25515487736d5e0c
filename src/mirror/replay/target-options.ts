import { ServerPassword } from '../../auth/server-password.ts';
import type { ServerLogin } from '../../pool/connect-server.ts';
import type { MirrorLogin, MirrorTargetConfig, SourceLogin } from './mirror-process-messages.ts';
import type { ReplayOptions } from './replay-options.ts';

const READ_ONLY_SETTINGS: ReadonlySet<string> = new Set(['default_transaction_read_only', 'transaction_read_only']);
const NO_SETTINGS: ReadonlySet<string> = new Set();

/** How a target's transactions are replayed. */
export function replayOptionsOf(config: MirrorTargetConfig): ReplayOptions {
  return {
    timing: config.timing,
    timeoutMs: config.timeoutMs,
    fixedSettings: config.level === 'read' ? READ_ONLY_SETTINGS : NO_SETTINGS,
    resetAlways: config.resetAlways,
  };
}

/** What a connection was made with: another one is needed when this changes. */
export function connectionKey(config: MirrorTargetConfig): string {
  const { address, tls, database, users, fallback, parameters, level, preparedStatementsLimit } = config;
  return JSON.stringify([
    address,
    tls,
    database,
    users,
    fallback,
    parameters,
    level === 'read',
    preparedStatementsLimit,
  ]);
}

/** Where connections lead, and what for: nothing is known of another one until it was looked at. */
export function serverKey({ address, tls, database, level }: MirrorTargetConfig): string {
  return JSON.stringify([address, tls, database, level === 'read']);
}

/** How to log in to a target. */
export function serverLoginOf(config: MirrorTargetConfig, login: MirrorLogin): ServerLogin {
  const { address, tls, database, parameters, connectTimeoutMs, level } = config;
  return {
    address,
    tls,
    database,
    user: login.user,
    password: passwordOf(login),
    parameters: level === 'read' ? { ...parameters, default_transaction_read_only: 'on' } : parameters,
    timeoutMs: connectTimeoutMs,
  };
}

/** How to log in to a source, to compare it with a mirror. */
export function sourceLoginOf(login: SourceLogin, timeoutMs: number): ServerLogin {
  const { address, tls, database, user } = login;
  return { address, tls, database, user, password: passwordOf(login), parameters: {}, timeoutMs };
}

const passwords = new WeakMap<MirrorLogin, ServerPassword>();

/** Kept with its login, so that the keys of its last salt are derived once. */
function passwordOf(login: MirrorLogin): ServerPassword | undefined {
  if (!login.password) return undefined;
  let password = passwords.get(login);
  if (password === undefined) {
    password = ServerPassword.fromText(login.password);
    passwords.set(login, password);
  }
  return password;
}
