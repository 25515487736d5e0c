/** What a statement's text may do to its session that no command tag tells. */
export const Touch = {
  /** Calls set_config(): settings of the session or of the transaction. */
  SetConfig: 1,
  /** Calls a function of advisory locks. */
  AdvisoryLock: 2,
  /** Makes something temporary. */
  Temporary: 4,
  /** Takes settings back (RESET, DISCARD ALL, SET … TO DEFAULT), which a client may have from its login. */
  Reset: 8,
  /** Asks what sequences gave this session. */
  Sequences: 16,
  /** Drops all prepared statements (DEALLOCATE ALL, DISCARD ALL). */
  Forget: 32,
  /** Asks which statements are prepared in this session. */
  Statements: 64,
  /** Names prepared statements (EXECUTE, DEALLOCATE), perhaps such as were prepared by message. */
  Names: 128,
  /** Asks for the process id of its server connection. */
  ProcessId: 256,
  /** Opens a connection of dblink's, which stays with the session. */
  Connections: 512,
  /** Creates, drops or alters a database: while anybody is connected to it the server may refuse. */
  Databases: 1024,
  /** Seeds random(): nothing takes that back. */
  Seed: 2048,
} as const;

/** So much of a text is looked at together. */
const LOOK_AT = 65_536;
/** What is looked for is not longer: a part of a text begins so far before the end of the one before it. */
export const PART_OVERLAP = 256;

const SUSPECT =
  /set_config|advisory|temp|reset|discard|deallocate|default|currval|lastval|execute|pg_prepared_s|backend_pid|dblink_c|database\s|seed/i;
const SET_CONFIG = /\bset_config\s*\(/i;
/** Locks of the transaction go with it. */
const ADVISORY = /\bpg_(?:try_)?advisory_(?:un)?lock/i;
const TEMPORARY = /\b(?:create|into|replace)\s+(?:(?:local|global)\s+)?temp(?:orary)?\b|\bpg_temp\b/i;

const FORGET = /\b(?:discard|deallocate)\s+(?:prepare\s+)?all\b/i;
/** Where another statement stands before it, that may have given it. */
const SEQUENCES = /^[^;]*\b(?:currval|lastval)\s*\(/i;
const STATEMENTS = /\bpg_prepared_statements?\b/i;
const PROCESS_ID = /\bpg_backend_pid\b/i;
const SEED = /\bsetseed\s*\(|(?:^|;)\s*set\s+(?:session\s+)?seed\b/i;
const CONNECTIONS = /\bdblink_connect(?:_u)?\b/i;
/** It cannot be run but alone. */
const DATABASES = /^(?:\s|--[^\n]*\n|\/\*(?:[^*]|\*(?!\/))*\*\/)*(?:create|drop|alter)\s+database\s/i;
const NAMES = /\b(?:execute|deallocate(?!\s+(?:prepare\s+)?all\b))\s/i;
const RESET = /\breset\b|\bdiscard\s+all\b/i;
const SET_OR_DEFAULT = /\b(?:set|default)\b|;/gi;

/**
 * What the statement text at `start`–`end` may touch: bits of Touch. A false alarm costs a look at the session after the
 * transaction; comments and strings are therefore not told apart from code.
 */
export function touchesOf(bytes: Buffer, start: number, end: number): number {
  let touches = 0;
  let from = start;
  do {
    touches |= touchesOfPart(bytes.toString('latin1', from, Math.min(end, from + LOOK_AT)), from === start);
    from += LOOK_AT - PART_OVERLAP;
  } while (from + PART_OVERLAP < end);
  return touches;
}

/** The same of a part of a text, as latin1; `first`: it begins with it. */
export function touchesOfPart(text: string, first: boolean): number {
  if (!SUSPECT.test(text)) return 0;
  let touches = 0;
  if (SET_CONFIG.test(text)) touches |= Touch.SetConfig;
  if (ADVISORY.test(text)) touches |= Touch.AdvisoryLock;
  if (TEMPORARY.test(text)) touches |= Touch.Temporary;
  if (RESET.test(text) || setsDefault(text)) touches |= Touch.Reset;
  if (FORGET.test(text)) touches |= Touch.Forget;
  if (first && SEQUENCES.test(text)) touches |= Touch.Sequences;
  if (STATEMENTS.test(text)) touches |= Touch.Statements;
  if (NAMES.test(text)) touches |= Touch.Names;
  if (PROCESS_ID.test(text)) touches |= Touch.ProcessId;
  if (CONNECTIONS.test(text)) touches |= Touch.Connections;
  if (SEED.test(text)) touches |= Touch.Seed;
  if (first && DATABASES.test(text)) touches |= Touch.Databases;
  return touches;
}

/** Whether one statement has SET and, behind it, DEFAULT. */
function setsDefault(text: string): boolean {
  let isSet = false;
  for (const [word] of text.matchAll(SET_OR_DEFAULT)) {
    if (isSet && word.length === 7) return true;
    isSet = word !== ';' && (isSet || word.length === 3);
  }
  return false;
}

/** What stands where a statement of a body may begin. */
const WITHIN_DO = /(?:[;'"]|\b(?:begin|else|loop|then))\s*(?:(?:re)?set|load|listen|prepare|declare)\s/i;

/** Whether the body of a DO may do something to the session by a statement of its own. */
export function doTouches(text: string | undefined): boolean {
  return text === undefined || text.length > LOOK_AT || WITHIN_DO.test(text);
}

const NAMED =
  /\b(?:execute|deallocate(?:\s+prepare)?)\s+(?:"((?:[^"]|"")+)"|([a-z_\u0080-\uffff][\w$\u0080-\uffff]*))/gi;

/** What may be names of prepared statements that a text executes or deallocates. */
export function statementNamesIn(text: string): string[] {
  return [...text.matchAll(NAMED)].map(
    ([, quoted, bare]) =>
      quoted?.replaceAll('""', '"') ?? bare?.replace(/[A-Z]/g, (letter) => letter.toLowerCase()) ?? '',
  );
}
