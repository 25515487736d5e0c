import * as z from 'zod';
import { poolerMode } from './general-schema.ts';
import { flag, integer, text, texts, type Resolved } from './schema-parts.ts';

const MAX_POOL = 1_000_000;

/** A verifier as pg_authid holds it (PostgreSQL manual, pg_authid.rolpassword). */
const SCRAM_VERIFIER = /^SCRAM-SHA-256\$[1-9]\d*:[A-Za-z0-9+/]+={0,2}\$[A-Za-z0-9+/]{43}=:[A-Za-z0-9+/]{43}=$/;
const MD5_HASH = /^md5[0-9a-f]{32}$/;
const HASH = 'a SCRAM-SHA-256 verifier or an md5 hash, as in pg_authid.rolpassword';

/** Whether a password_hash is of the kind that only SCRAM can use. */
export function isScramVerifier(hash: string): boolean {
  return SCRAM_VERIFIER.test(hash);
}

/** One of `[[users]]` in users.toml. */
export const userSchema = z.strictObject({
  name: text(),
  /** Which databases the entry is for: exactly one of these three. */
  database: text().optional(),
  databases: texts().optional(),
  all_databases: flag().default(false),
  password: text().optional(),
  password_hash: text(HASH)
    .refine((hash) => SCRAM_VERIFIER.test(hash) || MD5_HASH.test(hash), { error: HASH })
    .optional(),
  /** Login towards the server, where it is another. */
  server_user: text().optional(),
  server_password: text().optional(),
  pool_size: integer(1, MAX_POOL).optional(),
  min_pool_size: integer(0, MAX_POOL).optional(),
  pooler_mode: poolerMode().optional(),
});

/** One of `[[users]]`; `databases` holds what `database` or `databases` gave, and nothing with `all_databases`. */
export type UserConfig = Omit<Resolved<typeof userSchema>, 'database' | 'databases'> & {
  readonly databases: readonly string[];
};
