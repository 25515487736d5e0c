import { ParameterSet } from '../session/parameter-set.ts';
import type { ServerSession } from '../session/server-session.ts';
import type { SpokenSettings } from '../session/spoken-settings.ts';
import type { SessionLink } from './session-link.ts';

/*
 * A client may make a setting with the value that its server connections have anyway. They are not told of that, and
 * nothing takes it back when they change hands; a mirror, whose own value may be another, is.
 */

/** Follows what the statements of a transaction, which was committed and left nothing to ask about, said. */
export function restate(link: SessionLink, state: ServerSession, names: Iterable<string>): void {
  for (const name of names) {
    const value = link.settings.entries.has(name) ? undefined : reportedValue(state, name);
    if (value === undefined) {
      link.restated = link.restated.without(name);
    } else {
      link.restated = link.restated.with(name, value);
      state.restated = state.restated.with(name, value);
    }
  }
}

/** Of the settings that were found in a session, those which other clients have left in it. */
export function othersRestated(
  link: SessionLink,
  { restated }: ServerSession,
  found: ReadonlyMap<string, string>,
  spoken: SpokenSettings | undefined,
): string[] {
  return [...restated.entries.keys()].filter(
    (name) =>
      found.get(name) === restated.entries.get(name) &&
      !link.restated.entries.has(name) &&
      spoken?.mayHaveSet(name) !== true,
  );
}

/**
 * Takes over which settings of a session, as it was found, have values that it has anyway. `all`: what was found;
 * `mine`: without what other clients have left there.
 */
export function restateAsFound(
  link: SessionLink,
  state: ServerSession,
  { all, mine }: { readonly all: ParameterSet; readonly mine: ParameterSet },
  spoken: SpokenSettings | undefined,
): void {
  const had = state.restated;
  const { loginSettings, loginRestated } = link;
  let here = ParameterSet.empty;
  let restated = loginRestated;
  for (const [name, value] of link.restated.entries) {
    if (mine.entries.has(name)) continue;
    // It was made on another connection, unless it was in this one and is not any more.
    const isKept = !had.entries.has(name) && spoken?.mayHaveReset(name) !== true;
    if (isKept) restated = restated.with(name, value);
  }
  for (const [reported, value] of state.baseline.entries) {
    const name = reported.toLowerCase();
    if (loginSettings.entries.has(name)) continue;
    if (all.entries.get(name) === value) here = here.with(name, value);
    if (mine.entries.get(name) === value) restated = restated.with(name, value);
  }
  state.restated = here;
  link.restated = restated;
}

function reportedValue(state: ServerSession, name: string): string | undefined {
  for (const [reported, value] of state.reported.entries) if (reported.toLowerCase() === name) return value;
  return undefined;
}
