/** What a function may do, as far as its definition shows. */
export interface FunctionFacts {
  /** It gives values that the server makes for itself. */
  readonly generates: boolean;
  /** It may read relations. */
  readonly reads: boolean;
  /** It may change them. */
  readonly writes: boolean;
}

/** What the catalogs of a mirror say of its relations and functions, as far as it matters for comparing. */
export interface CatalogFacts {
  /** Relations that stand for others, or whose changes reach others: views, partitions, those with triggers or cascades. */
  readonly opaque: ReadonlySet<string>;
  /** Columns with values that the server made: `<oid of the table> <number of the column>`; `*`: any column of it. */
  readonly generatedColumns: ReadonlySet<string>;
  /** The relations that have such columns. */
  readonly generating: ReadonlySet<string>;
  /** By name; of several with one name, what any of them may do. */
  readonly functions: ReadonlyMap<string, FunctionFacts>;
}

/** Asks a server; rows come as text. */
export type AskCatalog = (text: string) => Promise<readonly (readonly (string | null)[])[]>;

/** As old as this they are read again. */
const FRESH_MS = 60_000;
const RETRY_MS = 5_000;

const OWN = "c.relnamespace NOT IN ('pg_catalog'::regnamespace, 'information_schema'::regnamespace)";
/** Words of a definition that give each server its own value. */
const GENERATES =
  "'nextval|now\\(|current_(date|time)|localtime|random|uuid|_timestamp\\(|timeofday|txid|current_xact|backend_pid|lastval|currval'";
/** Words of a function's body with which rows are changed, or what may change them is run. */
const WRITES = "'insert|update|delete|merge|truncate|copy|execute|perform|call|create|drop|alter|nextval|setval'";
const OPAQUE = `
  SELECT c.relname FROM pg_catalog.pg_class c WHERE ${OWN} AND (c.relkind IN ('v', 'm', 'f', 'p') OR c.relhasrules
    OR c.relhassubclass OR c.relispartition OR c.relrowsecurity
    OR EXISTS (SELECT FROM pg_catalog.pg_trigger t WHERE t.tgrelid = c.oid AND NOT t.tgisinternal)
    OR EXISTS (SELECT FROM pg_catalog.pg_constraint f WHERE f.contype = 'f' AND c.oid IN (f.confrelid, f.conrelid)
               AND (f.confdeltype IN ('c', 'n', 'd') OR f.confupdtype IN ('c', 'n', 'd'))))`;
const GENERATED = `
  WITH RECURSIVE own AS (
    SELECT c.oid, a.attnum::text AS col, c.relname FROM pg_catalog.pg_attribute a
      JOIN pg_catalog.pg_class c ON c.oid = a.attrelid
      LEFT JOIN pg_catalog.pg_attrdef d ON d.adrelid = a.attrelid AND d.adnum = a.attnum
    WHERE ${OWN} AND a.attnum > 0 AND NOT a.attisdropped
      AND (a.attidentity <> '' OR pg_catalog.pg_get_expr(d.adbin, d.adrelid) ~* ${GENERATES})
    UNION ALL SELECT c.oid, '*', c.relname FROM pg_catalog.pg_class c
    WHERE ${OWN} AND (c.relkind = 'f' OR c.relkind IN ('v', 'm') AND pg_catalog.pg_get_viewdef(c.oid) ~* ${GENERATES}
      OR EXISTS (SELECT FROM pg_catalog.pg_trigger t JOIN pg_catalog.pg_proc p ON p.oid = t.tgfoid
                 WHERE t.tgrelid = c.oid AND NOT t.tgisinternal AND p.prosrc ~* ${GENERATES}))
  ), reach AS (
    SELECT oid, col, relname FROM own
    UNION SELECT v.oid, '*', v.relname FROM reach
      JOIN pg_catalog.pg_depend d ON d.refobjid = reach.oid AND d.refclassid = 'pg_catalog.pg_class'::regclass
        AND d.classid = 'pg_catalog.pg_rewrite'::regclass
      JOIN pg_catalog.pg_rewrite r ON r.oid = d.objid JOIN pg_catalog.pg_class v ON v.oid = r.ev_class AND v.oid <> reach.oid
  ) SELECT oid::text, col, relname FROM reach`;
const FUNCTIONS = `
  SELECT p.proname, pg_catalog.bool_or(CASE WHEN p.pronamespace = 'pg_catalog'::regnamespace THEN p.provolatile = 'v'
      ELSE p.provolatile <> 'i' AND (l.lanname NOT IN ('sql', 'plpgsql')
        OR COALESCE(pg_catalog.pg_get_function_sqlbody(p.oid), p.prosrc) ~* ${GENERATES}) END),
    pg_catalog.bool_or(p.pronamespace <> 'pg_catalog'::regnamespace AND p.provolatile <> 'i'),
    pg_catalog.bool_or(p.pronamespace <> 'pg_catalog'::regnamespace AND p.provolatile = 'v' AND (
      l.lanname NOT IN ('sql', 'plpgsql') OR COALESCE(pg_catalog.pg_get_function_sqlbody(p.oid), p.prosrc) ~* ${WRITES}))
  FROM pg_catalog.pg_proc p JOIN pg_catalog.pg_language l ON l.oid = p.prolang GROUP BY p.proname`;

/** Keeps what the catalogs say at hand. Undefined facts: not known (yet, or any more). */
export class MirrorCatalog {
  readonly #ask: AskCatalog;
  #facts: CatalogFacts | undefined;
  #askAgainAt = -Infinity;
  #asking = false;

  constructor(ask: AskCatalog) {
    this.#ask = ask;
  }

  get facts(): CatalogFacts | undefined {
    return this.#facts;
  }

  /** Called now and then. */
  refresh(now: number): void {
    if (this.#asking || now < this.#askAgainAt) return;
    this.#asking = true;
    void this.#read().then((read) => {
      this.#asking = false;
      if (read !== undefined) this.#facts = read;
      this.#askAgainAt = now + (read === undefined ? RETRY_MS : FRESH_MS);
    });
  }

  /** A definition changed. */
  forget(): void {
    this.#facts = undefined;
    this.#askAgainAt = -Infinity;
  }

  async #read(): Promise<CatalogFacts | undefined> {
    try {
      const opaque = await this.#ask(OPAQUE);
      const generated = await this.#ask(GENERATED);
      const functions = await this.#ask(FUNCTIONS);
      return {
        opaque: new Set(opaque.map(([name]) => name ?? '')),
        generatedColumns: new Set(generated.map(([table, column]) => `${table} ${column}`)),
        generating: new Set(generated.map(([, , name]) => name ?? '')),
        functions: new Map(
          functions.map(([name, ...can]) => {
            const [generates = false, reads = false, writes = false] = can.map((one) => one === 't');
            return [name ?? '', { generates, reads, writes }];
          }),
        ),
      };
    } catch {
      // A mirror that is away is told of elsewhere.
      return undefined;
    }
  }
}
