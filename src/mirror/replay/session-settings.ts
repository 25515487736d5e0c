import { quoteSetting } from '../../session/settings.ts';
import { quoteIdentifier, quoteLiteral } from '../../util/sql-quote.ts';

/** A session's state: every setting in which it differs from a fresh login. */
export class SessionSettings {
  readonly values: ReadonlyMap<string, string>;
  /** Whether plain string constants take a backslash as it is. */
  readonly standardConformingStrings: boolean;
  /** What names of relations mean follows from it. */
  readonly namespace: string;

  constructor(values: ReadonlyMap<string, string>) {
    this.values = values;
    this.standardConformingStrings = values.get('standard_conforming_strings') !== 'off';
    this.namespace = ['search_path', 'role', 'session_authorization'].map((name) => values.get(name) ?? '').join('\0');
  }
}

/** The state of a connection that has just logged in. */
export const FRESH_LOGIN = new SessionSettings(new Map());

/** Without these a transaction would read or change other rows: it is not run where the mirror refuses them. */
const DECISIVE: ReadonlySet<string> = new Set(['role', 'session_authorization', 'search_path', 'row_security']);

export function isDecisive(name: string): boolean {
  return DECISIVE.has(name);
}

/** One query that changes a connection's state, and the setting it is about (none: all of them, or several). */
export interface SettingsChange {
  readonly sql: string;
  readonly name: string | undefined;
}

/** Settings as they were when the session began. */
const RESET_SETTINGS = 'RESET SESSION AUTHORIZATION; RESET ROLE; RESET ALL';

/** What DISCARD ALL does, but for the prepared statements: they have names that no client gave, and are followed. */
export const RESET_SESSION: SettingsChange = {
  sql:
    `CLOSE ALL; ${RESET_SETTINGS}; UNLISTEN *; SELECT pg_catalog.pg_advisory_unlock_all();` +
    ' DISCARD TEMP; DISCARD SEQUENCES',
  name: undefined,
};

/**
 * The queries that bring a connection from one state to another; `from` undefined where its state is not known.
 * `one by one` after a refusal, to find out which setting it was. `fixed` are settings that the mirror's own
 * configuration holds, whatever the client set.
 */
export function settingsChanges(
  from: SessionSettings | undefined,
  to: SessionSettings,
  options: { readonly oneByOne: boolean; readonly fixed: ReadonlySet<string> },
): SettingsChange[] {
  const changes: SettingsChange[] = [];
  if (from === undefined) {
    // RESET ALL leaves the role alone, and may be refused to it.
    changes.push({ sql: RESET_SETTINGS, name: undefined });
  } else {
    changes.push(...resets(from, to));
  }
  const sets = inOrder(to).filter(([name, value]) => !options.fixed.has(name) && from?.values.get(name) !== value);
  if (options.oneByOne) {
    for (const [name, value] of sets) changes.push({ sql: `SELECT ${setConfig(name, value)}`, name });
  } else if (sets.length > 0) {
    const calls = sets.map(([name, value]) => setConfig(name, value));
    changes.push({ sql: `SELECT ${calls.join(', ')}`, name: undefined });
  }
  return changes;
}

/** Roles first: what follows may be refused to the one that was set. */
function resets(from: SessionSettings, to: SessionSettings): SettingsChange[] {
  const gone = [...from.values.keys()].filter((name) => !to.values.has(name));
  const changesRole = ['role', 'session_authorization'].some((name) => from.values.get(name) !== to.values.get(name));
  const changes: SettingsChange[] = [];
  if (changesRole && (from.values.has('role') || from.values.has('session_authorization'))) {
    changes.push({ sql: 'RESET SESSION AUTHORIZATION; RESET ROLE', name: undefined });
  }
  const rest = gone.filter((name) => name !== 'role' && name !== 'session_authorization');
  if (rest.length > 0) {
    changes.push({ sql: rest.map((name) => `RESET ${settingName(name)}`).join('; '), name: undefined });
  }
  return changes;
}

/** The encoding after names that are written in the present one; the role last, since it may be allowed less. */
function inOrder(settings: SessionSettings): [string, string][] {
  const rank = (name: string): number => LAST.indexOf(name);
  return [...settings.values].sort(([a], [b]) => rank(a) - rank(b));
}

const LAST = ['client_encoding', 'session_authorization', 'role'];

function setConfig(name: string, value: string): string {
  return `pg_catalog.set_config(${quoteLiteral(name)}, ${quoteSetting(value)}, false)`;
}

/** Names of extensions' settings have a dot, which stands outside of the quotes. */
function settingName(name: string): string {
  return name.split('.').map(quoteIdentifier).join('.');
}
