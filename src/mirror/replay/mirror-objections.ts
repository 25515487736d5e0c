import { randomBytes } from 'node:crypto';
import type { ServerLogin } from '../../pool/connect-server.ts';
import { quoteLiteral } from '../../util/sql-quote.ts';
import { CIRCLE_SQLSTATE, LOOP_SQLSTATE } from '../record/look-name.ts';
import type { Connect } from './connect.ts';
import { ControlSession } from './control-session.ts';
import type { Level } from './level.ts';
import { EXTENSIONS_REACHING_OUT } from './reaching-out.ts';

/** What decides whether a destination may be mirrored to. */
export interface SafetyRules {
  readonly level: Level;
  readonly allowSideEffects: boolean;
  /** What differs there from the source is noise: so it has to be a server of the source's version. */
  readonly isControl: boolean;
}

/**
 * Why a destination must not be mirrored to, each reason a clause; none: it may. Rejects where it cannot be found out,
 * because one of the two cannot be reached, or does not answer as PostgreSQL does.
 */
export async function mirrorObjections(
  connect: Connect,
  logins: { readonly source: ServerLogin; readonly mirror: ServerLogin },
  rules: SafetyRules,
): Promise<string[]> {
  try {
    return await ControlSession.with(connect, logins.mirror, async (onMirror) =>
      ControlSession.with(toSource(connect), logins.source, async (onSource) => objections(onSource, onMirror, rules)),
    );
  } catch (error) {
    const { code } = error as { code?: unknown };
    if (code === LOOP_SQLSTATE) return ['it is this pgmirror itself'];
    if (code === CIRCLE_SQLSTATE) return ['it is a pgmirror whose own mirrors lead back to this one'];
    throw error;
  }
}

/** A source that refuses a login does not speak for the mirror: the SQLSTATE is left out. */
function toSource(connect: Connect): Connect {
  return async (login) => {
    try {
      return await connect(login);
    } catch (error) {
      throw new Error((error as Error).message, { cause: error });
    }
  };
}

async function objections(source: ControlSession, mirror: ControlSession, rules: SafetyRules): Promise<string[]> {
  const { isSame, isRecovering } = await compare(source, mirror);
  if (isSame) return ['it is the same database as the source'];
  const found = isRecovering && rules.level !== 'read' ? ['it is in recovery, and level is not "read"'] : [];
  if (rules.isControl) found.push(...(await otherVersion(source, mirror)));
  return rules.allowSideEffects ? found : [...found, ...(await sideEffects(mirror))];
}

/** Major versions answer differently, and a control of another one would have that taken for noise; minor ones do not. */
async function otherVersion(source: ControlSession, mirror: ControlSession): Promise<string[]> {
  const [theirs, ours] = [await versionOf(source), await versionOf(mirror)];
  if (theirs.major === ours.major) return [];
  return [`it is a control of version ${ours.name}, and the source has version ${theirs.name}`];
}

async function versionOf(session: ControlSession): Promise<{ readonly major: number; readonly name: string }> {
  const [row] = await session.query(
    `SELECT pg_catalog.current_setting('server_version_num'), pg_catalog.current_setting('server_version')`,
  );
  const major = Math.floor(Number(row?.[0]) / 10_000);
  if (!(major > 0)) throw new Error('a server does not tell its version as PostgreSQL does');
  // A packager's addition to the version is no part of it.
  return { major, name: (row?.[1] ?? '').split(' ', 1)[0] ?? '' };
}

/**
 * Proof by a lock: what is held on the source in an open transaction cannot be had on the same database, by whatever
 * address, pooler or tunnel it is reached. Locks of the transaction, so that poolers between leave none behind.
 */
async function compare(
  source: ControlSession,
  mirror: ControlSession,
): Promise<{ readonly isSame: boolean; readonly isRecovering: boolean }> {
  const key = randomBytes(8).readBigInt64BE().toString();
  await source.query(`BEGIN; SELECT pg_catalog.pg_advisory_xact_lock('${key}'::bigint)`);
  const [row] = await mirror.query(
    `SELECT pg_catalog.pg_try_advisory_xact_lock('${key}'::bigint), pg_catalog.pg_is_in_recovery()`,
  );
  await source.query('ROLLBACK');
  if (row === undefined) throw new Error('the mirror does not answer the safety check as PostgreSQL does');
  return { isSame: row[0] !== 't', isRecovering: row[1] !== 'f' };
}

/** What lets a replayed statement act outside the mirror, or others write to it. */
async function sideEffects(mirror: ControlSession): Promise<string[]> {
  const extensions = EXTENSIONS_REACHING_OUT.map(quoteLiteral).join(', ');
  const rows = await mirror.look(
    `SELECT 'subscription ' || subname AS reason FROM pg_catalog.pg_subscription
       WHERE subdbid = (SELECT oid FROM pg_catalog.pg_database WHERE datname = pg_catalog.current_database())
     UNION ALL SELECT 'foreign server ' || srvname FROM pg_catalog.pg_foreign_server
     UNION ALL SELECT 'extension ' || extname FROM pg_catalog.pg_extension WHERE extname IN (${extensions})
     ORDER BY reason`,
  );
  return rows.map(([reason]) => `it has ${reason}, and allow_side_effects is false`);
}
