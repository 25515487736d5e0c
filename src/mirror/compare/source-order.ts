import type { DefinedNames } from './defined-names.ts';
import type { WriteScope } from './write-log.ts';

/** A transaction on its way to the mirror. Numbers are those of the source's event counter. */
export interface Underway<T> {
  /** Undefined: the mirror has done with it. */
  transaction: T | undefined;
  readonly begunAt: number;
  readonly doneAt: number;
  readonly scope: Pick<WriteScope, 'written' | 'touched'>;
  /** What it creates, alters or drops. */
  readonly defines: DefinedNames | undefined;
  /** Finds the words by which it may name what others define (`wordsOf`). */
  readonly findWords: () => ReadonlySet<string>;
  /** What was found, as long as anything that is defined is under way; nobody asks otherwise. */
  words: ReadonlySet<string> | undefined;
}

const NONE: ReadonlySet<string> = new Set();

/**
 * Which transactions a mirror should have done with before it begins another one: those that were over on the source before
 * that one began there, and that changed what it touches, or touched what it changes. On the source they did not meet; where
 * they do on the mirror, or come the other way round, their answers are others, and say nothing of the mirror. Where the
 * relations are not known nothing is awaited: all would wait for all, and the mirror would fall behind.
 *
 * What creates, alters or drops something follows whatever names that, and is followed by it. Where what it defines may be
 * used without being named (types, what CASCADE drops), or what the other uses is not known (views, functions), they follow
 * each other as well. But words are shared by much that has nothing to do with each other: only one that is not late is kept
 * for them, so that they cannot make a mirror fall behind. Of tables and indexes the relations are known, as of other statements.
 * An extension defines what anything may use; it comes seldom, and all that began after it follow it, late or not.
 */
export class SourceOrder<T> {
  readonly #writing = new Lines<T>();
  readonly #touching = new Lines<T>();
  /** By the words by which what they define is named, and by those that they name things by. */
  readonly #defining = new Lines<T>();
  readonly #naming = new Lines<T>();
  readonly #all = new Line<T>();
  readonly #definitions = new Line<T>();
  /** Those whose definitions may be used without being named. */
  readonly #unnamed = new Line<T>();
  /** Those of which it is not known what they use. */
  readonly #unknown = new Line<T>();
  readonly #extensions = new Line<T>();

  add(one: Underway<T>): void {
    this.#writing.add(one, one.scope.written);
    this.#touching.add(one, one.scope.touched);
    if (one.defines !== undefined && this.#definitions.isEmpty) for (const other of this.#all.items) this.#find(other);
    this.#defining.add(one, one.defines?.words);
    for (const line of this.#linesOf(one)) line.push(one);
    if (!this.#definitions.isEmpty) this.#find(one);
  }

  over(one: Underway<T>): void {
    one.transaction = undefined;
    this.#writing.over(one.scope.written);
    this.#touching.over(one.scope.touched);
    this.#defining.over(one.defines?.words);
    this.#naming.over(one.words);
    for (const line of this.#linesOf(one)) line.over();
    if (one.defines === undefined || !this.#definitions.isEmpty) return;
    this.#naming.clear();
    for (const other of this.#all.items) other.words = undefined;
  }

  /** Most of the time nothing is defined, and no text is searched. */
  #find(one: Underway<T>): void {
    if (one.transaction === undefined) return;
    one.words = one.findWords();
    this.#naming.add(one, one.words);
  }

  /** One that is to be over before this begins, if there is any: rather the last than the first of them. */
  predecessorOf(one: Underway<T>, isLate: boolean): T | undefined {
    const { begunAt, scope, defines, words } = one;
    const related =
      this.#writing.last(scope.touched, begunAt) ??
      this.#touching.last(scope.written, begunAt) ??
      this.#extensions.last(begunAt);
    if (related !== undefined || isLate) return related;
    const named = this.#defining.last(words, begunAt) ?? this.#naming.last(defines?.words, begunAt);
    if (named !== undefined) return named;
    if (scope.touched === undefined) return this.#lastFor(defines, begunAt) ?? this.#definitions.last(begunAt);
    return this.#lastFor(defines, begunAt) ?? this.#unnamed.last(begunAt);
  }

  /** What a definition follows because neither may need to name the other. */
  #lastFor(defines: DefinedNames | undefined, begunAt: number): T | undefined {
    if (defines === undefined) return undefined;
    return (defines.isAll ? this.#unknown : this.#all).last(begunAt);
  }

  #linesOf({ defines, scope }: Underway<T>): Line<T>[] {
    const lines = [this.#all];
    if (defines !== undefined) lines.push(this.#definitions);
    if (defines?.isAll === false) lines.push(this.#unnamed);
    if (scope.touched === undefined) lines.push(this.#unknown);
    if (defines?.isExtension === true) lines.push(this.#extensions);
    return lines;
  }
}

/** Transactions that are under way, in a line for each relation or word that they have to do with. */
class Lines<T> {
  readonly #lines = new Map<string, Line<T>>();

  add(one: Underway<T>, relations: ReadonlySet<string> = NONE): void {
    for (const relation of relations) {
      let line = this.#lines.get(relation);
      if (line === undefined) this.#lines.set(relation, (line = new Line()));
      line.push(one);
    }
  }

  /** One that concerns these relations and was done on the source before that moment. */
  last(relations: ReadonlySet<string> | undefined, before: number): T | undefined {
    for (const relation of relations ?? NONE) {
      const found = this.#lines.get(relation)?.last(before);
      if (found !== undefined) return found;
    }
    return undefined;
  }

  clear(): void {
    this.#lines.clear();
  }

  /** One with these relations is over. */
  over(relations: ReadonlySet<string> = NONE): void {
    for (const relation of relations) {
      const line = this.#lines.get(relation);
      line?.over();
      if (line?.isEmpty === true) this.#lines.delete(relation);
    }
  }
}

/** Those that are over are put away together, when they are many. */
const MANY_OVER = 32;
const MANY_SHARE = 0.25;
/** Looked at for one question. */
const MAX_LOOKED_AT = 1024;

/** In the order in which they came, which is nearly that of their ends on the source. */
class Line<T> {
  #items: Underway<T>[] = [];
  #over = 0;

  get isEmpty(): boolean {
    return this.#items.length === this.#over;
  }

  /** Those that are under way, and some that are over. */
  get items(): readonly Underway<T>[] {
    return this.#items;
  }

  push(one: Underway<T>): void {
    this.#items.push(one);
  }

  over(): void {
    this.#over++;
    if (this.#over < MANY_OVER || this.#over < this.#items.length * MANY_SHARE) return;
    this.#items = this.#items.filter(({ transaction }) => transaction !== undefined);
    this.#over = 0;
  }

  /** The last that was done on the source before that moment. */
  last(before: number): T | undefined {
    let [low, high] = [0, this.#items.length];
    while (low < high) {
      const middle = (low + high) >> 1;
      if ((this.#items[middle]?.doneAt ?? 0) < before) low = middle + 1;
      else high = middle;
    }
    const end = Math.max(0, low - MAX_LOOKED_AT);
    for (let index = low - 1; index >= end; index--) {
      const transaction = this.#items[index]?.transaction;
      if (transaction !== undefined) return transaction;
    }
    return undefined;
  }
}
