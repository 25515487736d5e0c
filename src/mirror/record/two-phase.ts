import { Frontend } from '../../protocol/message-types.ts';
import { SqlScanner, Token } from '../../session/sql-scanner.ts';
import { splitStatements } from '../../session/statement-text.ts';

/** A half of a two-phase commit. */
export interface TwoPhase {
  /** `ends`: COMMIT PREPARED or ROLLBACK PREPARED; otherwise PREPARE TRANSACTION. */
  readonly ends: boolean;
  readonly gid: string;
}

const SUSPECT = /\bprepared?\b/i;

/** The half of a two-phase commit that a text holds, the last of its statements first. The text's characters are bytes. */
export function twoPhaseIn(text: string, standardConformingStrings = true): TwoPhase | undefined {
  if (!SUSPECT.test(text)) return undefined;
  for (const { words, start, end } of splitStatements(text, standardConformingStrings).reverse()) {
    const [first, second] = words;
    const prepares = first === 'prepare' && second === 'transaction';
    const ends = (first === 'commit' || first === 'rollback') && second === 'prepared';
    if (!prepares && !ends) continue;
    const gid = firstString(new SqlScanner(text, standardConformingStrings, start, end));
    if (gid !== undefined) return { ends, gid };
  }
  return undefined;
}

/** The first string constant, without its quotes. Two spellings of one name are taken for two names. */
function firstString(scanner: SqlScanner): string | undefined {
  for (let token = scanner.next(); token !== Token.End; token = scanner.next()) {
    if (token !== Token.String) continue;
    const { raw } = scanner;
    const delimiter = raw.startsWith('$') ? raw.slice(0, raw.indexOf('$', 1) + 1) : "'";
    const inner = raw.slice(raw.indexOf(delimiter) + delimiter.length, -delimiter.length).replaceAll("''", "'");
    return Buffer.from(inner, 'latin1').toString('utf8');
  }
  return undefined;
}

/** A gid has at most 200 bytes (GIDSIZE); with comments around it the statement is hardly longer than this. */
const LONGEST_MESSAGE = 1_000;
const SHORTEST_TEXT = "COMMIT PREPARED ''".length;
/** First bytes, in lower case, of PREPARE, COMMIT, ROLLBACK and of comments. */
const FIRST_BYTES: ReadonlySet<number> = new Set(['p', 'c', 'r', '/', '-'].map((first) => first.charCodeAt(0)));

/**
 * The half of a two-phase commit that a Query or Parse message is, where it begins with it. On the client path: nearly
 * all messages are passed over at a glance.
 */
export function twoPhaseOf(bytes: Buffer, start: number, end: number): TwoPhase | undefined {
  const type = bytes[start];
  if ((type !== Frontend.Query && type !== Frontend.Parse) || end - start > LONGEST_MESSAGE) return undefined;
  let at = start + 5;
  if (type === Frontend.Parse) at = bytes.indexOf(0, at) + 1;
  while (at < end && (bytes[at] ?? 0) <= 0x20) at++;
  if (end - at < SHORTEST_TEXT || !FIRST_BYTES.has((bytes[at] ?? 0) | 0x20)) return undefined;
  return twoPhaseIn(bytes.toString('latin1', at, bytes.indexOf(0, at)));
}

/** A longer text is not looked through: its transaction has no second half that is known to be one. */
const LONGEST_TEXT = 65_536;

/** The PREPARE TRANSACTION that a Query or Parse message holds among other statements, where it was seen to be run. */
export function firstHalfAmong(bytes: Buffer, start: number, end: number): TwoPhase | undefined {
  const type = bytes[start];
  if ((type !== Frontend.Query && type !== Frontend.Parse) || end - start > LONGEST_TEXT) return undefined;
  const from = type === Frontend.Query ? start + 5 : bytes.indexOf(0, start + 5) + 1;
  const half = twoPhaseIn(bytes.toString('latin1', from, Math.max(from, bytes.indexOf(0, from))));
  return half?.ends === false ? half : undefined;
}
