import type { QueryIdentity } from '../report/query-identifier.ts';
import type { ColumnOrigin } from './column-origin.ts';
import { DigestOffset } from './digest-format.ts';
import type { CatalogFacts, MirrorCatalog, Origin } from './mirror-catalog.ts';
import type { StatementFacts, StoredValue } from './statement-facts.ts';
import { SYSTEM_COLUMNS } from './statement-walk.ts';
import { WriteLog } from './write-log.ts';
import type { WriteScope } from './write-log.ts';

const NONE: ReadonlySet<string> = new Set();
/** Kinds of query whose columns are remembered. */
const MAX_DESCRIBED = 10_000;
/** Kinds of statement that are looked at again when the catalogs have been read. */
const MAX_UNSETTLED = 1_000;

/**
 * What is known of one mirror, as far as it explains why an answer of it is another than the source's: the order of writes,
 * its catalogs, and what was learnt from the statements that went by.
 */
export class MirrorKnowledge {
  readonly writes: WriteLog;
  readonly #catalog: MirrorCatalog;
  /** The columns of each kind of query: a prepared statement does not describe them each time. */
  readonly #described = new Map<string, readonly ColumnOrigin[]>();
  /** Relations with a sequence in which rows were inserted, and those of them whose last numbers were the same on both sides. */
  readonly #inserted = new Set<string>();
  readonly #inStep = new Set<string>();

  /** What stored values while the catalogs were out of date. */
  readonly #unsettled = new Set<StatementFacts>();

  constructor(catalog: MirrorCatalog) {
    this.#catalog = catalog;
    this.writes = new WriteLog((relation) => this.#hasSequence(relation));
  }

  /** The catalogs were read, and nothing that would change them was seen since. */
  get isCurrent(): boolean {
    return this.#catalog.isCurrent;
  }

  get catalog(): CatalogFacts | undefined {
    return this.#catalog.facts;
  }

  /** The relations of a statement, as far as they are all it touches. */
  relationsOf(facts: StatementFacts): ReadonlySet<string> | undefined {
    if (facts.isUnknown) return undefined;
    const { catalog } = this;
    for (const name of facts.functions) if (catalog?.functions.get(name)?.reads !== false) return undefined;
    if (facts.relations.size === 0 || catalog === undefined) return facts.relations;
    for (const relation of facts.relations) if (catalog.opaque.has(relation)) return undefined;
    return facts.writes ? this.#withNeighbours(facts.relations, catalog) : facts.relations;
  }

  /** Whether a statement changes rows, or may. */
  writesRows({ writes, functions }: StatementFacts): boolean {
    if (writes) return true;
    for (const name of functions) if (this.catalog?.functions.get(name)?.writes !== false) return true;
    return false;
  }

  /** What a statement that changes rows may change, and what that depends on. */
  scopeOf(facts: StatementFacts): WriteScope {
    const touched = this.relationsOf(facts);
    const { functions, writes } = facts;
    const written =
      touched === undefined || (functions.size > 0 && this.writesRows({ ...facts, writes: false }))
        ? undefined
        : facts.written;
    return { written, touched, insertsOnly: writes && facts.insertsOnly && functions.size === 0 };
  }

  /** A transaction wrote this: it may itself be answered what the source made up, though it may not be committed. */
  learnColumns(facts: StatementFacts): void {
    this.#learnStored(facts);
    if (!this.isCurrent && facts.stores.length > 0 && this.#unsettled.size < MAX_UNSETTLED) this.#unsettled.add(facts);
  }

  /** A transaction that wrote this was committed on the source: what follows from that for what is compared later. */
  learn(facts: StatementFacts, begunAt: number): void {
    for (const relation of facts.written) if (this.#hasSequence(relation)) this.#inserted.add(relation);
    if (this.selectsUnevenly(facts)) this.writes.taints.add(this.scopeOf(facts).written, begunAt);
    if (facts.defines) this.#catalog.changed();
  }

  /** Called now and then: what was stored while the catalogs were out of date is looked at again. */
  settle(): void {
    if (!this.isCurrent || this.#unsettled.size === 0) return;
    for (const facts of this.#unsettled) this.#learnStored(facts);
    // What is learnt of one relation may tell of another.
    if (this.isCurrent) this.#unsettled.clear();
  }

  /** Generated values were stored in a relation that is not there any more, as far as is known. */
  isGone(relation: string): boolean {
    return this.#catalog.isGone(relation);
  }

  /** It depends on the server which rows a statement meets. */
  selectsUnevenly(facts: StatementFacts): boolean {
    if (facts.selectsByVolatile || facts.dependsOnLocks || facts.dependsOnOrder) return true;
    return this.selectsByGenerated(facts);
  }

  /** Which rows it meets depends on values that the servers made each for itself. */
  selectsByGenerated({ selectsBy, relations }: StatementFacts): boolean {
    for (const column of selectsBy) if (SYSTEM_COLUMNS.has(column)) return true;
    for (const relation of relations) {
      for (const [column, origin] of this.catalog?.generating.get(relation) ?? []) {
        const isMet = column === '*' ? selectsBy.size > 0 : selectsBy.has(column) || selectsBy.has('*');
        if (isMet && (origin === 'own' || this.#isOutOfStep(relation))) return true;
      }
    }
    return false;
  }

  describes(query: QueryIdentity, origins: readonly ColumnOrigin[]): void {
    if (this.#described.size >= MAX_DESCRIBED) this.#described.clear();
    this.#described.set(query.fingerprint, origins);
  }

  /** Where a query's columns come from, if it is known. */
  columnsOf(query: QueryIdentity): readonly ColumnOrigin[] | undefined {
    return this.#described.get(query.fingerprint);
  }

  /** Where a column's values come from, if a server makes them for itself. */
  originOf({ place }: ColumnOrigin): Origin | undefined {
    const [table = '', number = ''] = place.split(' ');
    if (number.startsWith('-')) return 'own';
    return this.catalog?.generatedColumns.get(place) ?? this.catalog?.generatedColumns.get(`${table} *`);
  }

  /** An INSERT was answered the same on both sides: so were the numbers that it took, if it said so. */
  inStep(query: QueryIdentity, facts: StatementFacts, digest: Buffer): void {
    const told = digest.readDoubleLE(DigestOffset.Rows) > 0 && this.columnsOf(query);
    if (told === false || told === undefined || !told.some((column) => this.originOf(column) === 'sequence')) return;
    for (const relation of facts.written) this.#inStep.add(relation);
  }

  /** A statement went otherwise on the mirror, from that moment of the source's counter on. */
  spoilt(facts: StatementFacts, from: number): void {
    if (!this.writesRows(facts)) return;
    this.writes.taints.add(this.scopeOf(facts).written, from);
    for (const relation of facts.written) this.#inStep.delete(relation);
  }

  /** Sequences went on for what was rolled back on the source: nobody knows which, and rows get other numbers from then on. */
  missNumbers(): void {
    const relations = [...(this.catalog?.generating.keys() ?? [])].filter((relation) => this.#hasSequence(relation));
    // Behind these, triggers may take numbers, too.
    const others = this.catalog?.opaque ?? NONE;
    this.writes.taints.add(this.isCurrent ? new Set([...relations, ...others]) : undefined, -Infinity);
    this.#inStep.clear();
  }

  /** It is freshly synced. */
  reset(): void {
    this.writes.reset();
    this.#inserted.clear();
    this.#inStep.clear();
    this.#catalog.changed();
  }

  #learnStored(facts: StatementFacts): void {
    for (const value of facts.stores)
      if (this.#isGenerated(value, facts)) this.#catalog.learn(value.relation, value.column);
  }

  #hasSequence(relation: string): boolean {
    const columns = this.catalog?.generating.get(relation);
    return columns !== undefined && [...columns.values()].includes('sequence');
  }

  #isOutOfStep(relation: string): boolean {
    return this.#inserted.has(relation) && !this.#inStep.has(relation);
  }

  #isGenerated({ from, by }: StoredValue, { relations, functions }: StatementFacts): boolean {
    if (by !== undefined) {
      if (by === 'nextval') return false;
      return !functions.has(by) || this.catalog?.functions.get(by)?.generates !== false;
    }
    for (const relation of relations) {
      for (const [column, origin] of this.catalog?.generating.get(relation) ?? NONE.entries()) {
        if (origin === 'own' && (column === '*' || from === '*' || from === column)) return true;
      }
    }
    return false;
  }

  /** Rows are checked against those that foreign keys say. */
  #withNeighbours(relations: ReadonlySet<string>, { neighbours }: CatalogFacts): ReadonlySet<string> {
    const all = new Set(relations);
    for (const relation of relations) for (const other of neighbours.get(relation) ?? NONE) all.add(other);
    return all;
  }
}
