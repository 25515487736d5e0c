import { definedRelations } from './defined-relations.ts';
import { ACCUMULATING_FUNCTIONS, KNOWN_FUNCTIONS, ORDERED_FUNCTIONS, VOLATILE_FUNCTIONS } from './known-functions.ts';
import type { StatementFacts, StoredValue } from './statement-facts.ts';

const WRITES: ReadonlySet<string> = new Set(['InsertStmt', 'UpdateStmt', 'DeleteStmt', 'MergeStmt']);
/** Statements that touch no relation but those they name, and no definition. */
const PLAIN: ReadonlySet<string> = new Set([
  ...WRITES,
  'TruncateStmt',
  'SelectStmt',
  'CopyStmt',
  'TransactionStmt',
  'VariableSetStmt',
  'VariableShowStmt',
  'DeclareCursorStmt',
  'ClosePortalStmt',
  'LockStmt',
  'FetchStmt',
  'ExplainStmt',
  'ConstraintsSetStmt',
  'PrepareStmt',
  'DeallocateStmt',
  'DiscardStmt',
  'ListenStmt',
  'UnlistenStmt',
  'NotifyStmt',
  'VacuumStmt',
  'CheckPointStmt',
]);
/** Columns that every relation has, with values of the server's own (ddl-system-columns in the manual). */
export const SYSTEM_COLUMNS: ReadonlySet<string> = new Set(['ctid', 'xmin', 'xmax', 'cmin', 'cmax', 'tableoid']);

/** Where an expression stands. */
interface Place {
  /** What it yields decides which rows are met; otherwise it is only answered or stored. */
  readonly decides: boolean;
  /** What it yields is stored there. */
  readonly sink?: { readonly relation: string; readonly column: string } | undefined;
}

type Sinks = (index: number) => Place['sink'];
type Node = Readonly<Record<string, unknown>>;

const DECIDES: Place = { decides: true };
const ANSWERED: Place = { decides: false };

/** Gathers what matters from a parse tree (nodes.h, as libpg-query writes it). */
export class StatementWalk {
  readonly #relations = new Set<string>();
  readonly #written = new Set<string>();
  readonly #functions = new Set<string>();
  readonly #selectsBy = new Set<string>();
  readonly #stores: StoredValue[] = [];
  /** Names that stand for whole rows. */
  readonly #aliases = new Set<string>();
  #unknown = false;
  #writes = false;
  #inserts = false;
  #otherWrites = false;
  #defines = false;
  #volatile = false;
  #selectsByVolatile = false;
  #locks = false;
  #order = false;
  #accumulates = false;
  #fetches = false;

  /** The tree, or a part of it. */
  visit(node: unknown, place: Place = ANSWERED): void {
    if (Array.isArray(node)) {
      for (const one of node) this.visit(one, place);
    } else if (isNode(node)) {
      for (const [name, value] of Object.entries(node)) this.#named(name, value, place);
    }
  }

  facts(byText: Pick<StatementFacts, 'names' | 'fixesSnapshot'>): StatementFacts {
    if ([...this.#aliases, ...this.#relations].some((name) => this.#selectsBy.has(name))) this.#selectsBy.add('*');
    return {
      relations: this.#relations,
      written: this.#written,
      functions: this.#functions,
      isUnknown: this.#unknown,
      writes: this.#writes,
      insertsOnly: this.#inserts && !this.#otherWrites,
      defines: this.#defines,
      isVolatile: this.#volatile,
      selectsByVolatile: this.#selectsByVolatile,
      dependsOnLocks: this.#locks,
      dependsOnOrder: this.#order,
      accumulates: this.#accumulates,
      selectsBy: this.#selectsBy,
      stores: this.#stores,
      readsEarlier: this.#fetches,
      ...byText,
    };
  }

  #named(name: string, value: unknown, place: Place): void {
    if (name === 'SelectStmt' && isNode(value)) return this.#select(value, place);
    if (WRITES.has(name) && isNode(value)) return this.#write(name, value);
    if (name === 'CreateTableAsStmt' && isNode(value)) return this.#create(value);
    if (name === 'AlterTableStmt' || name === 'CreateStmt') this.#fill(value);
    if (name === 'ColumnRef') return this.#column(value, place);
    if (name === 'FuncCall') this.#call(value, place);
    else if (name === 'relname' && typeof value === 'string') this.#relations.add(value);
    else if (name === 'aliasname' && typeof value === 'string') this.#aliases.add(value);
    else if (name === 'SQLValueFunction') this.#isVolatile('now', place);
    else if (name === 'waitPolicy' && value !== 'LockWaitBlock') this.#locks = true;
    else if (name === 'limitCount' || name === 'limitOffset' || name === 'distinctClause') this.#order = true;
    else if (name === 'isNatural') this.#selectsBy.add('*');
    else if (name === 'usingClause') for (const column of stringsIn(value)) this.#selectsBy.add(column);
    else if (name.endsWith('Stmt') && name !== 'RawStmt') this.#statement(name, value);
    this.visit(value, name === 'RawStmt' || name === 'stmts' || name === 'stmt' ? place : this.#within(name, place));
  }

  /** The place of what stands within a node of that name. */
  #within(name: string, place: Place): Place {
    return /^(?:whereClause|joinCondition|quals|withClause|SubLink|havingClause|groupClause|windowClause)$/.test(name)
      ? DECIDES
      : place;
  }

  #statement(name: string, value: unknown): void {
    if (name === 'FetchStmt') {
      this.#fetches = true;
      this.#unknown = true;
    } else if (name === 'ExplainStmt' || name === 'VariableShowStmt') {
      this.#volatile = true;
    } else if (name.startsWith('Create') && JSON.stringify(value).includes('"relpersistence":"t"')) {
      for (const relation of relationsIn(isNode(value) ? (value.relation ?? relationOf(value.into)) : undefined)) {
        this.#written.add(relation);
      }
      this.#writes = true;
      this.#otherWrites = true;
    } else if (!PLAIN.has(name) && /^[A-Z]/.test(name)) {
      const relations = definedRelations(name, value);
      for (const relation of relations ?? []) {
        this.#relations.add(relation);
        this.#written.add(relation);
      }
      this.#unknown ||= relations === undefined;
      this.#defines ||= name !== 'ExecuteStmt';
      this.#otherWrites = true;
      this.#writes = true;
    }
    const copiesIn = name === 'CopyStmt' && isNode(value) && value.is_from === true;
    if (!copiesIn && name !== 'TruncateStmt') return;
    this.#writes = true;
    if (copiesIn) this.#inserts = true;
    else this.#otherWrites = true;
    for (const relation of relationsIn(isNode(value) ? (value.relation ?? value.relations) : undefined)) {
      this.#written.add(relation);
    }
  }

  /** Values that a new or changed column is given; those of a new table, which may be gone soon, only where it is temporary. */
  #fill(statement: unknown): void {
    if (!isNode(statement) || !isNode(statement.relation)) return;
    const { relation, cmds, tableElts } = statement;
    const elements = cmds ?? (relation.relpersistence === 't' ? tableElts : undefined);
    const [table = ''] = relationsIn(relation);
    for (const element of Array.isArray(elements) ? elements : []) {
      const { name, def = element }: Node =
        isNode(element) && isNode(element.AlterTableCmd) ? element.AlterTableCmd : {};
      const {
        colname,
        constraints,
        raw_default: using,
      }: Node = isNode(def) && isNode(def.ColumnDef) ? def.ColumnDef : {};
      const column = colname ?? name;
      if (typeof column !== 'string') continue;
      const sink = { relation: table, column };
      this.visit(using, { decides: false, sink });
      for (const one of Array.isArray(constraints) ? constraints : []) {
        if (!isNode(one) || !isNode(one.Constraint) || one.Constraint.contype !== 'CONSTR_DEFAULT') continue;
        this.visit(one.Constraint.raw_expr, { decides: false, sink });
      }
    }
  }

  /** CREATE TABLE AS, CREATE MATERIALIZED VIEW. */
  #create(statement: Node): void {
    const { query, into } = statement;
    this.#statement('CreateTableAsStmt', statement);
    this.visit(into);
    if (isNode(query) && isNode(query.SelectStmt)) return this.#select(query.SelectStmt, ANSWERED, sinksOf(into));
    this.visit(query);
    // What EXECUTE gives, nobody knows.
    for (const relation of relationsIn(relationOf(into))) this.#stores.push({ relation, column: '*', by: 'execute' });
  }

  /** `sinkOf`: where its columns are stored, by position. */
  #select(select: Node, place: Place, storedIn?: Sinks): void {
    const { targetList, valuesLists, intoClause, larg, rarg, ...rest } = select;
    const sinkOf = intoClause === undefined ? storedIn : sinksOf(intoClause);
    if (intoClause !== undefined) {
      this.#defines = true;
      this.#unknown = true;
      this.#writes = true;
      this.#otherWrites = true;
    }
    // What is made distinct, grouped or united is told apart by what is answered.
    const isPlain = !place.decides && ['distinctClause', 'groupClause'].every((name) => rest[name] === undefined);
    const inner: Place = isPlain && larg === undefined ? ANSWERED : DECIDES;
    this.#values(targetList, inner, sinkOf);
    if (Array.isArray(valuesLists)) {
      for (const list of valuesLists) {
        const { items } = isNode(list) && isNode(list.List) ? list.List : {};
        this.#values(items, ANSWERED, sinkOf);
      }
    }
    for (const half of [larg, rarg]) if (isNode(half)) this.#select(half, DECIDES, sinkOf);
    // What it is taken from, and how it is chosen.
    for (const [name, value] of Object.entries(rest)) this.#named(name, value, DECIDES);
  }

  #values(list: unknown, place: Place, sinkOf: Sinks | undefined): void {
    if (!Array.isArray(list)) return;
    let isBehindStar = false;
    for (const [index, one] of list.entries()) {
      const value: unknown = isNode(one) && isNode(one.ResTarget) ? one.ResTarget.val : one;
      isBehindStar ||= isNode(value) && isStar(value.ColumnRef);
      // How many columns it stands for is not known.
      const sink = sinkOf?.(index);
      this.visit(value, { decides: place.decides, sink: sink && isBehindStar ? { ...sink, column: '*' } : sink });
    }
  }

  #write(name: string, statement: Node): void {
    const { relation, cols, selectStmt, targetList, returningClause, onConflictClause, ...rest } = statement;
    const [target = ''] = relationsIn(relation);
    this.#writes = true;
    this.#written.add(target);
    if (name === 'InsertStmt' && onConflictClause === undefined) this.#inserts = true;
    else this.#otherWrites = true;
    this.visit(relation);
    const names = Array.isArray(cols) ? cols.map((one) => nameOf(one) ?? '*') : undefined;
    const sinkOf: Sinks = (index) => ({ relation: target, column: names?.[index] ?? `#${index + 1}` });
    if (isNode(selectStmt) && isNode(selectStmt.SelectStmt)) this.#select(selectStmt.SelectStmt, ANSWERED, sinkOf);
    this.#assigned(targetList, target);
    if (isNode(onConflictClause)) {
      this.#assigned(onConflictClause.targetList, target);
      this.visit({ ...onConflictClause, targetList: undefined }, DECIDES);
    }
    this.#values(isNode(returningClause) ? returningClause.exprs : undefined, ANSWERED, undefined);
    // MERGE stores what its clauses say: taken for any column.
    const place = name === 'MergeStmt' ? { decides: true, sink: { relation: target, column: '*' } } : DECIDES;
    this.visit(rest, place);
  }

  #assigned(list: unknown, relation: string): void {
    if (!Array.isArray(list)) return;
    for (const one of list) {
      const column = nameOf(one) ?? '*';
      if (isNode(one) && isNode(one.ResTarget)) {
        this.visit(one.ResTarget.val, { decides: false, sink: { relation, column } });
      }
    }
  }

  #column(value: unknown, { decides, sink }: Place): void {
    const names = stringsIn(isNode(value) ? value.fields : undefined);
    const column = isStar(value) ? '*' : (names.at(-1) ?? '*');
    if (sink !== undefined) this.#stores.push({ ...sink, from: column });
    if (decides) this.#selectsBy.add(column);
  }

  #call(value: unknown, place: Place): void {
    const name = stringsIn(isNode(value) ? value.funcname : undefined).at(-1) ?? '';
    if (VOLATILE_FUNCTIONS.has(name)) this.#isVolatile(name, place);
    if (ORDERED_FUNCTIONS.has(name) || (isNode(value) && value.over !== undefined)) this.#order = true;
    if (ACCUMULATING_FUNCTIONS.has(name)) this.#accumulates = true;
    if (name.startsWith('pg_try_advisory')) this.#locks = true;
    if (name === 'nextval' || name === 'setval') {
      this.#writes = true;
      this.#otherWrites ||= name === 'setval';
    }
    if (VOLATILE_FUNCTIONS.has(name) || KNOWN_FUNCTIONS.has(name)) return;
    this.#functions.add(name);
    if (place.sink !== undefined) this.#stores.push({ ...place.sink, by: name });
  }

  #isVolatile(by: string, { decides, sink }: Place): void {
    this.#volatile = true;
    if (sink !== undefined) this.#stores.push({ ...sink, by });
    if (decides) this.#selectsByVolatile = true;
  }
}

function isNode(value: unknown): value is Node {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}

/** `*`, or `t.*`. */
function isStar(column: unknown): boolean {
  return isNode(column) && JSON.stringify(column).includes('"A_Star"');
}

/** What an IntoClause names. */
function relationOf(into: unknown): unknown {
  return isNode(into) ? into.rel : undefined;
}

/** Where the values are stored of which a relation is made. */
function sinksOf(into: unknown): Sinks {
  const [relation = ''] = relationsIn(relationOf(into));
  return (index) => ({ relation, column: `#${index + 1}` });
}

/** The strings of a list of names. */
function stringsIn(list: unknown): string[] {
  if (!Array.isArray(list)) return [];
  return list.flatMap((one) =>
    isNode(one) && isNode(one.String) && typeof one.String.sval === 'string' ? [one.String.sval] : [],
  );
}

function nameOf(target: unknown): string | undefined {
  const { name } = isNode(target) && isNode(target.ResTarget) ? target.ResTarget : {};
  return typeof name === 'string' ? name : undefined;
}

/** The names of a relation, or of a list of them. */
function relationsIn(value: unknown): string[] {
  if (Array.isArray(value)) return value.flatMap(relationsIn);
  if (!isNode(value)) return [];
  if (isNode(value.RangeVar)) return relationsIn(value.RangeVar);
  return typeof value.relname === 'string' ? [value.relname] : [];
}
