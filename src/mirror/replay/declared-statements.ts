import type { PreparedStatement } from './prepared-statement.ts';
import type { StatementRegistry } from './statement-registry.ts';

/** Transactions that arrived between two forgettings, and what was forgotten since. */
export class StatementEpoch {
  /** Acknowledgements that its transactions still owe. */
  outstanding = 0;
  readonly forgotten: PreparedStatement[] = [];
}

/**
 * The statements that one pooler thread has declared. A forgotten one stays known by its name until all transactions
 * that arrived before have been acknowledged: they wait in their lanes, and may refer to it. For that, transactions are
 * counted in two epochs, the one that is being waited for and the present one.
 */
export class DeclaredStatements {
  readonly #registry: StatementRegistry;
  readonly #byId = new Map<number, PreparedStatement>();
  readonly #byName = new Map<string, { readonly statement: PreparedStatement; declarations: number }>();
  #waiting: StatementEpoch | undefined;
  #current = new StatementEpoch();

  constructor(registry: StatementRegistry) {
    this.#registry = registry;
  }

  /** Declared and not forgotten. */
  get(id: number): PreparedStatement | undefined {
    return this.#byId.get(id);
  }

  /** Declared, and perhaps forgotten while transactions that came before are on their way. */
  named(name: string): PreparedStatement | undefined {
    return this.#byName.get(name)?.statement;
  }

  declare(id: number, name: string, definition: Uint8Array): void {
    // First the new one, then the old: if they are the same it is kept.
    const statement = this.#registry.acquire(name, definition);
    const known = this.#byName.get(name);
    if (known?.statement === statement) known.declarations++;
    else this.#byName.set(name, { statement, declarations: 1 });
    this.forget(id);
    this.#byId.set(id, statement);
  }

  forget(id: number): void {
    const statement = this.#byId.get(id);
    if (!statement) return;
    this.#byId.delete(id);
    this.#current.forgotten.push(statement);
    this.#advance();
  }

  /** A transaction has come that owes so many acknowledgements; `finished()` is called for each with what this returns. */
  arrived(acknowledgements: number): StatementEpoch {
    this.#current.outstanding += acknowledgements;
    return this.#current;
  }

  finished(epoch: StatementEpoch): void {
    epoch.outstanding--;
    if (epoch === this.#waiting && epoch.outstanding === 0) this.#advance();
  }

  /** The thread is gone: nothing more is declared. Names stay known for what is on its way. */
  close(): void {
    for (const statement of [...this.#byId.values(), ...this.#current.forgotten]) this.#registry.release(statement);
    for (const statement of this.#waiting?.forgotten ?? []) this.#registry.release(statement);
    this.#byId.clear();
    this.#waiting = undefined;
    this.#current = new StatementEpoch();
  }

  #advance(): void {
    for (;;) {
      if (this.#waiting === undefined) {
        if (this.#current.forgotten.length === 0) return;
        this.#waiting = this.#current;
        this.#current = new StatementEpoch();
      }
      if (this.#waiting.outstanding > 0) return;
      for (const statement of this.#waiting.forgotten) this.#release(statement);
      this.#waiting = undefined;
    }
  }

  #release(statement: PreparedStatement): void {
    const known = this.#byName.get(statement.name);
    if (known?.statement === statement && --known.declarations === 0) this.#byName.delete(statement.name);
    this.#registry.release(statement);
  }
}
