import * as z from 'zod';
import {
  bytes,
  flag,
  integer,
  milliseconds,
  oneOf,
  regularExpression,
  share,
  text,
  texts,
  type Resolved,
} from './schema-parts.ts';

const MAX_QUEUE = 1_000_000;

/** One of `[[mirroring]]`. */
export const mirroringSchema = z.strictObject({
  /** Names of [[databases]]. */
  source_db: text(),
  destination_db: text(),
  /** Share of transactions; general.mirror_exposure where it is not given. */
  exposure: share().optional(),
  /** What keeps its roll: nothing, a connection, a user, an application name. */
  sticky: oneOf(['none', 'client', 'user', 'application_name']).default('none'),
  /** Transactions for each client; general.mirror_queue where it is not given. */
  queue_length: integer(1, MAX_QUEUE).optional(),
  /** Another spelling of queue_length. */
  queue_depth: integer(1, MAX_QUEUE).optional(),
  /** Which transactions, by what their statements do. */
  level: oneOf(['all', 'read', 'write', 'dml', 'ddl']).default('all'),
  users: texts().optional(),
  application_names: texts().optional(),
  /** Over the statements' text. */
  query: regularExpression().optional(),
  exclude_query: regularExpression().optional(),
  /** Bytes of one transaction. */
  max_transaction_size: bytes(1, Number.MAX_SAFE_INTEGER).default(16_777_216),
  /** Whether the client's pauses are kept. */
  timing: oneOf(['realistic', 'none']).default('realistic'),
  ordering: oneOf(['session'], ' ("causal" and "commit" are not in this version)').default('session'),
  /** One request on the mirror, beyond what it took on the source. */
  timeout: milliseconds().default(30_000),
  /** A transaction whose turn comes later than this after its end on the source is dropped. */
  max_lag: milliseconds().default(60_000),
  compare: flag().default(false),
  log_mismatches: flag().default(false),
  compare_sample: share().default(1),
  /** Another destination of the same source, whose differences are noise. */
  control: text().optional(),
  /** Mirror although the destination can reach out of itself. */
  allow_side_effects: flag().default(false),
});

/** One of `[[mirroring]]` with its defaults, those of [general] included. */
export type MirroringConfig = Omit<Resolved<typeof mirroringSchema>, 'exposure' | 'queue_length' | 'queue_depth'> & {
  readonly exposure: number;
  readonly queue_length: number;
};
