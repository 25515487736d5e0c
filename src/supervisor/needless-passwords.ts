import { md5Hash } from '../auth/md5.ts';
import { deriveScramVerifier, formatScramVerifier, saltOfUser } from '../auth/scram-verifier.ts';
import type { Config } from '../config/config.ts';
import { findUser } from '../config/server-login.ts';
import type { UserConfig } from '../config/user-schema.ts';

/**
 * The configuration with hashes in place of the passwords that only clients are asked for: pgmirror has no use for the
 * passwords themselves then, and what it does not keep cannot leak. `mockSecret` makes the salts, the same after every
 * reload as before.
 */
export async function withoutNeedlessPasswords(config: Config, mockSecret: Buffer): Promise<Config> {
  const verifierOf = async (name: string, password: string): Promise<string> => {
    const salt = saltOfUser(mockSecret, name);
    return formatScramVerifier(await deriveScramVerifier(Buffer.from(password, 'utf8'), { salt }));
  };
  const isMd5 = config.general.auth_type === 'md5';
  const users = config.users.map(async (user) => {
    if (user.password === undefined || logsInWithIt(config, user)) return user;
    const { name, password } = user;
    return {
      ...user,
      password: undefined,
      password_hash: isMd5 ? md5Hash(password, name) : await verifierOf(name, password),
    };
  });
  const { user, password } = config.admin;
  const hashes = password && { scram: await verifierOf(user, password), md5: md5Hash(password, user) };
  const admin = { ...config.admin, password: undefined, hashes: hashes || undefined };
  return Object.freeze({ ...config, users: await Promise.all(users), admin });
}

/** Whether pgmirror logs in to some server with the password that the entry's clients have. */
function logsInWithIt({ databases, mirroring, users, general }: Config, user: UserConfig): boolean {
  if (user.server_password !== undefined) return false;
  if (user.name === general.auth_user || user.server_user !== undefined) return true;
  const isMirror = new Set(mirroring.map(({ destination_db: destination }) => destination));
  return databases
    .filter(({ name }) => findUser(users, user.name, name) === user)
    .some((database) => database.user === undefined || database.password === undefined || isMirror.has(database.name));
}
