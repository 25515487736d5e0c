import { createHash } from 'node:crypto';

/** Bytes of the salt in AuthenticationMD5Password. */
export const MD5_SALT_LENGTH = 4;

/** Whether a stored password is an MD5 hash as PostgreSQL stores it. */
export function isMd5Hash(stored: string): boolean {
  return /^md5[0-9a-f]{32}$/.test(stored);
}

/** What PostgreSQL stores of a password: `md5` and the hash of password and user name (pg_md5_encrypt). */
export function md5Hash(password: string | Buffer, userName: string): string {
  return `md5${createHash('md5').update(password).update(userName, 'utf8').digest('hex')}`;
}

/** What a client answers to a salt, from the stored hash: which is therefore as good as the password. */
export function md5Response(hash: string, salt: Buffer): string {
  return `md5${createHash('md5').update(hash.slice('md5'.length), 'latin1').update(salt).digest('hex')}`;
}
