import { catalogQueries } from './catalog-queries.ts';

/** What a function may do, as far as its definition shows. */
export interface FunctionFacts {
  /** It gives values that the server makes for itself. */
  readonly generates: boolean;
  /** It may read relations. */
  readonly reads: boolean;
  /** It may change them. */
  readonly writes: boolean;
}

/** Where a column's values come from that servers make for themselves. */
export type Origin = 'own' | 'sequence';

/** What the catalogs of a mirror say of its relations and functions, as far as it matters for comparing. */
export interface CatalogFacts {
  /** Relations that stand for others, or whose changes reach others: views, partitions, those with triggers or cascades. */
  readonly opaque: ReadonlySet<string>;
  /** Columns with values that the server made: `<oid of the table> <number of the column>`; `*`: any column of it. */
  readonly generatedColumns: ReadonlyMap<string, Origin>;
  /** The same by the relation's and the column's name. */
  readonly generating: ReadonlyMap<string, ReadonlyMap<string, Origin>>;
  /** By relation: those that its foreign keys refer to, and those that refer to it. */
  readonly neighbours: ReadonlyMap<string, ReadonlySet<string>>;
  /** By name; of several with one name, what any of them may do. */
  readonly functions: ReadonlyMap<string, FunctionFacts>;
  /** Some role or database has another transaction isolation than READ COMMITTED from the start. */
  readonly oneSnapshot: boolean;
}

/** Asks a server; rows come as text. */
export type AskCatalog = (text: string) => Promise<readonly (readonly (string | null)[])[]>;

/** As old as this they are read again. */
const FRESH_MS = 60_000;
const RETRY_MS = 5_000;
/** Columns that statements were seen to store generated values in, and those that are filled with such no more. */
const MAX_LEARNT = 10_000;
const MAX_FORMER = 1_000;

/**
 * Keeps what the catalogs say at hand. They are read again from time to time, and soon after a definition has changed or
 * it shows that a column holds generated values; until then the facts are out of date.
 */
export class MirrorCatalog {
  readonly #ask: AskCatalog;
  #facts: CatalogFacts | undefined;
  #askAgainAt = -Infinity;
  #asking = false;
  /** `<relation> <column>`, in which values were stored that the server had made. */
  readonly #learnt = new Set<string>();
  /** Relations of these. */
  readonly #ofLearnt = new Set<string>();
  #former = 0;
  /** Counts what makes the facts out of date, and how much of that they had when they were read. */
  #changes = 1;
  #known = 0;

  constructor(ask: AskCatalog) {
    this.#ask = ask;
  }

  /** Undefined: they were never read. */
  get facts(): CatalogFacts | undefined {
    return this.#facts;
  }

  get isCurrent(): boolean {
    return this.#known === this.#changes;
  }

  /** Called now and then. */
  refresh(now: number): void {
    if (this.#asking || now < this.#askAgainAt) return;
    this.#asking = true;
    const changes = this.#changes;
    void this.#read().then((read) => {
      this.#asking = false;
      if (read !== undefined) {
        const before = this.#facts;
        this.#facts = read;
        this.#known = changes;
        if (before !== undefined) this.#keepFormer(before, read);
      }
      this.#askAgainAt = this.isCurrent ? now + FRESH_MS : read === undefined ? now + RETRY_MS : -Infinity;
    });
  }

  /** A statement stores values of the server's own there; `column` as in `StoredValue`. */
  learn(relation: string, column: string): void {
    const name = `${relation} ${column}`;
    if (this.#learnt.has(name) || this.#learnt.size >= MAX_LEARNT) return;
    this.#learnt.add(name);
    this.#ofLearnt.add(relation);
    this.changed();
  }

  /** Values of the servers' own were stored in it, and it is not there any more, or not yet, as far as is known. */
  isGone(relation: string): boolean {
    return this.#ofLearnt.has(relation) && this.#facts?.generating.has(relation) === false;
  }

  /** A definition was changed. */
  changed(): void {
    this.#changes++;
    this.#askAgainAt = -Infinity;
  }

  /** A column whose default or trigger is gone keeps the values that it was given. */
  #keepFormer(before: CatalogFacts, now: CatalogFacts): void {
    for (const [relation, columns] of before.generating) {
      for (const [column, origin] of columns) {
        const known = now.generating.get(relation);
        if (origin !== 'own' || known?.get(column) === 'own' || known?.get('*') === 'own') continue;
        if (++this.#former > MAX_FORMER) return;
        this.learn(relation, column);
      }
    }
  }

  async #read(): Promise<CatalogFacts | undefined> {
    const queries = catalogQueries([...this.#learnt]);
    try {
      const opaque = await this.#ask(queries.opaque);
      const generated = await this.#ask(queries.generated);
      const neighbours = await this.#ask(queries.neighbours);
      const functions = await this.#ask(queries.functions);
      const [settings] = await this.#ask(queries.isolation);
      return {
        opaque: new Set(opaque.map(([name]) => name ?? '')),
        ...generatedIn(generated),
        neighbours: neighboursIn(neighbours),
        functions: new Map(
          functions.map(([name, ...can]) => {
            const [generates = false, reads = false, writes = false] = can.map((one) => one === 't');
            return [name ?? '', { generates, reads, writes }];
          }),
        ),
        oneSnapshot: settings?.[0] === 't',
      };
    } catch {
      // A mirror that is away is told of elsewhere.
      return undefined;
    }
  }
}

function generatedIn(
  rows: readonly (readonly (string | null)[])[],
): Pick<CatalogFacts, 'generatedColumns' | 'generating'> {
  const generatedColumns = new Map<string, Origin>();
  const generating = new Map<string, Map<string, Origin>>();
  for (const [table, number, relation, column, kind] of rows) {
    const origin: Origin = kind === 'sequence' ? 'sequence' : 'own';
    const place = `${table} ${number}`;
    if (generatedColumns.get(place) !== 'own') generatedColumns.set(place, origin);
    let columns = generating.get(relation ?? '');
    if (columns === undefined) generating.set(relation ?? '', (columns = new Map()));
    if (columns.get(column ?? '*') !== 'own') columns.set(column ?? '*', origin);
  }
  return { generatedColumns, generating };
}

function neighboursIn(rows: readonly (readonly (string | null)[])[]): Map<string, Set<string>> {
  const neighbours = new Map<string, Set<string>>();
  const add = (one: string, other: string): void => {
    neighbours.set(one, (neighbours.get(one) ?? new Set()).add(other));
  };
  for (const [one, other] of rows) {
    add(one ?? '', other ?? '');
    add(other ?? '', one ?? '');
  }
  return neighbours;
}
