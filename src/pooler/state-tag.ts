/** Command tags that say that the session may have changed, or need a second look. */
const TAGS: ReadonlyMap<string, StateTag> = new Map<string, StateTag>([
  ['ROLLBACK', 'ROLLBACK'],
  ['SET', 'SET'],
  ['RESET', 'RESET'],
  ['DISCARD ALL', 'DISCARD ALL'],
  ['DISCARD TEMP', 'ends a pin'],
  ['DISCARD SEQUENCES', 'DISCARD SEQUENCES'],
  ['DEALLOCATE ALL', 'DEALLOCATE ALL'],
  ['DEALLOCATE', 'ends a pin'],
  ['DECLARE CURSOR', 'unclear'],
  ['DROP TABLE', 'ends a pin'],
  ['DROP VIEW', 'ends a pin'],
  ['DROP SEQUENCE', 'ends a pin'],
  ['DROP FUNCTION', 'ends a pin'],
  ['CLOSE CURSOR', 'ends a pin'],
  ['CLOSE CURSOR ALL', 'ends a pin'],
  ['LISTEN', 'unclear'],
  ['UNLISTEN', 'ends a pin'],
  ['LOAD', 'LOAD'],
  ['PREPARE', 'unclear'],
  ['DO', 'DO'],
]);

/** What a command tag means for the session. */
export type StateTag =
  | 'ROLLBACK'
  | 'SET'
  | 'RESET'
  | 'DISCARD ALL'
  | 'DISCARD SEQUENCES'
  | 'DEALLOCATE ALL'
  | 'DO'
  | 'LOAD'
  | 'ends a pin'
  | 'unclear';

/** First and second letter of the tags above: nearly every CommandComplete is told apart by them. */
const candidates = new Uint8Array(65_536);
for (const tag of TAGS.keys()) candidates[(tag.charCodeAt(0) << 8) | tag.charCodeAt(2)] = 1;

/** What the CommandComplete at `at` says of the session; `undefined`, as nearly always: nothing. */
export function stateTag(bytes: Buffer, at: number): StateTag | undefined {
  if (candidates[((bytes[at + 5] ?? 0) << 8) | (bytes[at + 7] ?? 0)] === 0) return undefined;
  return TAGS.get(bytes.toString('latin1', at + 5, bytes.indexOf(0, at + 5)));
}
