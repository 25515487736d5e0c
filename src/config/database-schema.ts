import * as z from 'zod';
import { poolerMode, serverReset } from './general-schema.ts';
import { integer, millisecondsOr, port, text, type Resolved } from './schema-parts.ts';

const MAX_POOL = 1_000_000;

/** Startup parameters that say who connects to what: pgmirror sends its own. */
const RESERVED_PARAMETERS: ReadonlySet<string> = new Set(['user', 'database', 'replication', 'options']);
const PARAMETERS = 'a table of strings, such as { lock_timeout = "2s" }';
const PARAMETER_NAME = `the name of a setting (not ${[...RESERVED_PARAMETERS].join(', ')})`;

/** One of `[[databases]]`. */
export const databaseSchema = z.strictObject({
  /** What clients connect to. */
  name: text(),
  /** Host name, address, or the directory of a unix socket. */
  host: text(),
  port: port().default(5432),
  /** The database's name on the server; `name` where it is not given. */
  database_name: text().optional(),
  /** Login towards the server in place of the client's. */
  user: text().optional(),
  password: text().optional(),
  pool_size: integer(1, MAX_POOL).optional(),
  min_pool_size: integer(0, MAX_POOL).optional(),
  pinned_pool_size: integer(0, MAX_POOL).optional(),
  pooler_mode: poolerMode().optional(),
  server_reset: serverReset().optional(),
  /** PostgreSQL's statement_timeout on its connections. */
  statement_timeout: millisecondsOr('off').optional(),
  /** Settings sent at startup. */
  parameters: z
    .record(
      text(PARAMETER_NAME).refine((name) => !RESERVED_PARAMETERS.has(name), { error: PARAMETER_NAME }),
      z.string({ error: 'a string' }).regex(/^[^\0]*$/, { error: 'a string without NUL' }),
      { error: PARAMETERS },
    )
    .optional(),
});

/** One of `[[databases]]` with its defaults. */
export type DatabaseConfig = Omit<Resolved<typeof databaseSchema>, 'database_name'> & {
  readonly database_name: string;
};
