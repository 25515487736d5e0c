import type { QueryIdentity } from './query-identifier.ts';

const ASKS = /\b(?:curr|last)val\s*\(/i;
const OBJECT_NOT_IN_PREREQUISITE_STATE = '55000';

/**
 * What currval() and lastval() answer was given to the session in an earlier transaction, which on the mirror may have run
 * on another connection: there they fail although nothing is wrong with the mirror.
 */
export function lacksSessionNumber(
  { text }: QueryIdentity,
  { sourceError, mirrorError }: { readonly sourceError: string; readonly mirrorError: string },
): boolean {
  return [sourceError, mirrorError].includes(OBJECT_NOT_IN_PREREQUISITE_STATE) && ASKS.test(text);
}
