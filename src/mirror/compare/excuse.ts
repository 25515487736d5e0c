import type { AnswerClass } from '../report/query-report.ts';
import { lacksSessionNumber } from '../report/session-numbers.ts';
import type { ComparedRequest } from './comparison.ts';
import type { Difference } from './difference.ts';
import type { MirrorKnowledge } from './mirror-knowledge.ts';
import type { StatementFacts } from './statement-facts.ts';

/** Errors that come of what others do at the moment: serialization, deadlock, locks, cancelled, out of something. */
const OF_THE_MOMENT = /^(?:40|53|55P03|57|58|08)/;
/** A plan of before a change of definitions (plancache.c): a mirror's connection may have been prepared behind it. */
const OF_STALE_PLANS = '0A000';
/** Integrity constraints: they depend on rows, and on values that they hold. */
const OF_CONSTRAINTS = /^23/;
/** A type that there is not, or another: internal_error of a failed look-up, undefined or ambiguous objects, and values that do not fit. */
const OF_OTHER_TYPES = /^(?:XX000|42(?:704|725|804|846|883|P18)|22P0[23])$/;
/** No such large object, or none that is open. */
const OF_LARGE_OBJECTS = '42704';
const NAMES_LARGE_OBJECTS = /\b(?:lo_\w+|loread|lowrite|large\s+object)\b/i;
/** There is no such object, or it is of another kind; where it was asked for by its OID, that may be another object's on the mirror. */
const OF_OTHER_OBJECTS = /^(?:XX000|42(?:704|809|883|P01)|55000)$/;
/** Columns of the catalogs that hold OIDs. */
const HOLDS_OID = /(?:oid|relid)$/;
/** A column that is a row of a table. */
const WHOLE_ROW = /^[1-9]\d* 0$/;
/** OIDs of float4 and float8 (pg_type.dat). */
const FLOATS: ReadonlySet<number> = new Set([700, 701]);

/** OIDs of oid, xid, cid, tid, xid8, pg_lsn, pg_snapshot and txid_snapshot (pg_type.dat): each server has its own of these. */
const OWN_TO_SERVERS: ReadonlySet<number> = new Set([26, 27, 28, 29, 5069, 3220, 5038, 2970]);

export interface Excuse {
  readonly answerClass: AnswerClass;
  readonly judged: boolean;
  readonly spoils: boolean;
}

/**
 * Why a difference says nothing of the mirror, whatever the order of writes was; undefined: nothing but that can excuse it.
 * `judged`: but for what is excused, the answers are known to be the same. `spoils`: what a statement wrote is not the same.
 */
export function excuseOf(
  request: ComparedRequest,
  difference: Difference,
  facts: StatementFacts,
  knowledge: MirrorKnowledge,
): Excuse | undefined {
  const { answerClass } = difference;
  if (answerClass === 'schema') return undefined;
  const excuse = answerClass.startsWith('error_')
    ? excuseOfError(request, facts, knowledge)
    : excuseOfRows(request, difference, facts, knowledge);
  if (excuse !== 'verified') return excuse && { answerClass: excuse, judged: false, spoils: true };
  const known = request.origins ?? knowledge.columnsOf(request.query) ?? [];
  const numbers = known.filter(
    (origin, column) => difference.columns?.includes(column) && knowledge.originOf(origin) === 'sequence',
  );
  return { answerClass: 'generated', judged: true, spoils: numbers.length > 0 };
}

function excuseOfRows(
  request: ComparedRequest,
  difference: Difference,
  facts: StatementFacts,
  knowledge: MirrorKnowledge,
): AnswerClass | 'verified' | undefined {
  if (facts.selectsByVolatile || readsCatalogs(facts) || knowledge.selectsByGenerated(facts)) return 'generated';
  if ([...facts.functions].some((name) => knowledge.catalog?.functions.get(name)?.generates !== false))
    return 'generated';
  if (facts.dependsOnLocks) return 'ambiguous';
  if (difference.answerClass !== 'row_content') return facts.isVolatile ? 'generated' : undefined;
  const generated = isGenerated(request, difference, facts, knowledge);
  if (generated !== 'no') return generated === 'known' && !facts.dependsOnOrder ? 'verified' : 'generated';
  return facts.dependsOnOrder || isRounded(request, difference, facts, knowledge) ? 'ambiguous' : undefined;
}

function excuseOfError(
  request: ComparedRequest,
  facts: StatementFacts,
  knowledge: MirrorKnowledge,
): AnswerClass | undefined {
  const errors = [request.sourceError, request.mirrorError];
  if (errors.some((code) => OF_THE_MOMENT.test(code))) return 'ambiguous';
  if (request.sourceError === OF_STALE_PLANS && request.mirrorError === '') return 'ambiguous';
  if (request.namesOwnTypes && OF_OTHER_TYPES.test(request.mirrorError)) return 'unverified';
  // The number of a large object is one that the server gave.
  if (request.mirrorError === OF_LARGE_OBJECTS && NAMES_LARGE_OBJECTS.test(request.query.text)) return 'generated';
  if (lacksSessionNumber(request.query, request)) return 'generated';
  if (OF_OTHER_OBJECTS.test(request.mirrorError) && readsCatalogs(facts) && [...facts.selectsBy].some(isOid))
    return 'generated';
  // A value that the client was given by the source is another one on the mirror, or belongs to another row.
  const relations = errors.some((code) => OF_CONSTRAINTS.test(code))
    ? constrainedBy(request, facts, knowledge)
    : new Set<string>();
  for (const relation of relations ?? knowledge.catalog?.generating.keys() ?? []) {
    const columns = knowledge.catalog?.generating.get(relation);
    if (columns !== undefined && [...columns.values()].includes('own')) return 'generated';
  }
  return undefined;
}

/** What decides on an integrity constraint: where it was put off till COMMIT or SET CONSTRAINTS, all that its transaction wrote. */
export function constrainedBy(
  { own, sourceError, mirrorError }: ComparedRequest,
  facts: StatementFacts,
  knowledge: MirrorKnowledge,
): ReadonlySet<string> | undefined {
  const isPutOff = facts.relations.size === 0 && (OF_CONSTRAINTS.test(sourceError) || OF_CONSTRAINTS.test(mirrorError));
  return isPutOff && own !== undefined ? own.scope.touched : knowledge.relationsOf(facts);
}

/** Whether every column that differs gets its values from the server, or may be computed from such. */
function isGenerated(
  { query, origins }: ComparedRequest,
  { columns }: Difference,
  facts: StatementFacts,
  knowledge: MirrorKnowledge,
): 'known' | 'perhaps' | 'no' {
  const { catalog } = knowledge;
  if (catalog === undefined || facts.isUnknown) return 'perhaps';
  const known = origins ?? knowledge.columnsOf(query);
  if (known !== undefined && columns?.every((column) => OWN_TO_SERVERS.has(known[column]?.type ?? 0)) === true)
    return 'known';
  const relations = [...facts.relations];
  if (relations.some((relation) => knowledge.isGone(relation))) return 'perhaps';
  if (!facts.isVolatile && !relations.some((relation) => catalog.generating.has(relation))) return 'no';
  if (columns === undefined || known === undefined) return 'perhaps';
  if (columns.some((column) => WHOLE_ROW.test(known[column]?.place ?? ''))) return 'perhaps';
  const all = columns.every((column) => {
    const origin = known[column];
    return origin === undefined || origin.place.startsWith('0 ') || knowledge.originOf(origin) !== undefined;
  });
  return all ? 'known' : 'no';
}

/** Every column that differs is a sum of floats, or made of such. */
function isRounded(
  { query, origins }: ComparedRequest,
  { columns }: Difference,
  facts: StatementFacts,
  knowledge: MirrorKnowledge,
): boolean {
  if (!facts.accumulates) return false;
  const known = origins ?? knowledge.columnsOf(query);
  if (columns === undefined || known === undefined) return true;
  return columns.every((column) => FLOATS.has(known[column]?.type ?? 0));
}

function isOid(column: string): boolean {
  return HOLDS_OID.test(column);
}

/** The catalogs of each server are its own. */
function readsCatalogs({ relations }: StatementFacts): boolean {
  for (const relation of relations) if (relation.startsWith('pg_')) return true;
  return false;
}
