import { PreparedStatement } from './prepared-statement.ts';

/**
 * The statements that pooler threads have declared. Threads that declare the same name with the same definition share
 * one object, so that a mirror connection, which serves lanes of all threads, need not prepare it again.
 */
export class StatementRegistry {
  readonly #statements = new Map<string, { statement: PreparedStatement; references: number }>();

  /** Every call is answered by one of `release()`. */
  acquire(name: string, definition: Uint8Array): PreparedStatement {
    const known = this.#statements.get(name);
    if (known?.statement.isSameAs(name, definition)) {
      known.references++;
      return known.statement;
    }
    const statement = new PreparedStatement(name, definition);
    this.#statements.set(name, { statement, references: 1 });
    return statement;
  }

  release(statement: PreparedStatement): void {
    const known = this.#statements.get(statement.name);
    if (known?.statement !== statement) return;
    known.references--;
    if (known.references === 0) this.#statements.delete(statement.name);
  }
}
