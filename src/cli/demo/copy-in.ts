import type { Client, Connection, Submittable } from 'pg';

/** The part of pg's connection that its type declarations leave out. */
interface CopyConnection extends Connection {
  sendCopyFromChunk(chunk: Buffer): void;
  endCopyFrom(): void;
}

/**
 * Runs a `COPY … FROM STDIN` with text for its data: what `pg` leaves to packages on top of it, since it wants no more
 * than the calls which `pg` makes on whatever is submitted to it.
 */
export async function copyIn(client: Client, sql: string, data: string): Promise<void> {
  const ended = Promise.withResolvers<void>();
  client.query(new CopyIn(sql, data, ended));
  await ended.promise;
}

class CopyIn implements Submittable {
  /** With a `query_timeout`, `pg` puts a function here that clears its timer, and expects it to be called at the end. */
  callback: (() => void) | undefined;
  readonly #sql: string;
  readonly #data: string;
  readonly #ended: PromiseWithResolvers<void>;

  constructor(sql: string, data: string, ended: PromiseWithResolvers<void>) {
    this.#sql = sql;
    this.#data = data;
    this.#ended = ended;
  }

  submit(connection: Connection): void {
    connection.query(this.#sql);
  }

  handleCopyInResponse(connection: CopyConnection): void {
    connection.sendCopyFromChunk(Buffer.from(this.#data));
    connection.endCopyFrom();
  }

  handleCommandComplete(): void {}

  handleReadyForQuery(): void {
    this.callback?.();
    this.#ended.resolve();
  }

  handleError(error: Error): void {
    this.callback?.();
    this.#ended.reject(error);
  }
}
