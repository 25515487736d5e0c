import * as z from 'zod';
import { text, type Resolved } from './schema-parts.ts';

/** `[admin]`. */
export const adminSchema = z.strictObject({
  /** Name of the admin database. */
  name: text().default('pgmirror'),
  user: text().default('admin'),
  /** Without one the admin database is off. */
  password: text().optional(),
});

/** What is kept of the admin's password, to check logins in either way: a SCRAM verifier, and an MD5 hash. */
export interface AdminHashes {
  readonly scram: string;
  readonly md5: string;
}

/** `[admin]` with its defaults; a running pgmirror has `hashes` in place of `password`. */
export type AdminConfig = Resolved<typeof adminSchema> & { readonly hashes?: AdminHashes | undefined };
