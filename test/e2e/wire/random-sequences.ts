import assert from 'node:assert/strict';

import { bind, execute, parse, query, readyForQuery, splitMessages, sync } from '../../support/bytes.ts';
import type { WireClient } from '../../support/wire-client.ts';
import type { Comparison } from './comparison.ts';
import { describeMessage } from './dialogue.ts';
import { exchange, leftBehind } from './exchange.ts';
import { bytesOf, type Operation, type Sequence } from './operations.ts';

/** What may change between two sequences, brought back. */
const tidy = `DELETE FROM c; DELETE FROM deferred; DELETE FROM t; INSERT INTO t SELECT n, 'row ' || n FROM generate_series(1, 3) AS n`;

/** The same where many rows may come, whose order may depend on what was there before. */
const tidyAll = `TRUNCATE c, deferred, t; INSERT INTO t SELECT n, 'row ' || n FROM generate_series(1, 3) AS n`;
const isLong = (bytes: Buffer): boolean => bytes.length > 20_000;

/** What the bystander asks of its connection, beside two statements of its own. */
const surroundings = `SELECT current_setting('application_name'), current_setting('TimeZone'), current_setting('search_path'),
  current_setting('statement_timeout'), current_user = session_user, (SELECT count(*) FROM pg_cursors WHERE name <> ''),
  (SELECT count(*) FROM pg_class WHERE relpersistence = 't' AND pg_table_is_visible(oid)),
  (SELECT count(*) FROM pg_locks WHERE locktype = 'advisory' AND pid = pg_backend_pid())`;

const question = Buffer.concat([...['a', '', 'surroundings'].flatMap((name) => [bind('', name), execute('')]), sync]);

const deadlineMs = 20_000;

/**
 * PostgreSQL 18 loses track of its own state after Parse, Bind, Execute, Query or FunctionCall, Sync: the ReadyForQuery says that
 * it is idle, and yet the transaction goes on, until one command is refused because of it ("unexpected state STARTED"). A client
 * of pgmirror may be spared that. To be seen by a block that has ended without a command: by a Sync, or a Close before that.
 */
const goesAstray = /^Z "T"\n(?:(?:S .*|3 "")\n)*Z "I"$/m;
const wentAstray = /M=StartTransactionCommand: unexpected state STARTED$/m;

/**
 * PostgreSQL resets a connection that it closes with something unread: what a client had not taken by then is lost to it. Its last
 * words are known.
 */
const lastWords = /^E S=FATAL V=FATAL C=08P01 M=terminating connection because protocol synchronization was lost$/;

/**
 * Sends sequences of messages to PostgreSQL and to pgmirror, and compares their answers. After each of them a bystander, another
 * client of pgmirror with statements under the same names, must find everything as it left it.
 */
export class RandomSequences {
  readonly #start: () => Promise<Comparison>;
  #comparison: Comparison | undefined;
  #direct: WireClient | undefined;
  #pooled: WireClient | undefined;
  #bystander: WireClient | undefined;
  #found = '';

  /** `start` starts a pgmirror; it is called again when one serves nobody any more. */
  constructor(start: () => Promise<Comparison>) {
    this.#start = start;
  }

  /** Throws where the answers differ. `fresh`: with a client of pgmirror that has just come. */
  async compare({ operations, splits, terminates }: Sequence, fresh: boolean): Promise<void> {
    const bytes = Buffer.concat(operations.map(bytesOf));
    this.#comparison ??= await this.#start();
    try {
      if (fresh) await this.#leave();
      this.#direct ??= await this.#comparison.direct();
      this.#pooled ??= await this.#comparison.pooled();
      const sides = [this.#direct, this.#pooled];
      await Promise.all(sides.map(async (client) => this.#clean(client, isLong(bytes) ? tidyAll : tidy)));
      const [direct, pooled] = await Promise.all(
        sides.map(async (client) => exchange(client, { bytes, splits, terminates }, deadlineMs)),
      );
      const astray = goesAstray.test(direct?.join('\n') ?? '') || (mayGoAstray(operations) && isAstray(pooled));
      const expected = terminates && !hasLastWords(pooled) ? withoutEndOfCopy(direct) : direct;
      if (!astray) assert.deepEqual(lostLastWords(direct, pooled) ? withoutLastWords(pooled) : pooled, expected);
      if (astray || direct?.at(-1) === 'closed') await this.#forget();
      if (terminates && !astray) await this.#compareLeftBehind();
      assert.deepEqual(await this.#ask(), this.#found, 'what a bystander finds');
    } catch (error) {
      await this.close();
      if (await serves(this.#comparison)) throw error;
      this.#comparison.pgmirror.kill('SIGKILL');
      this.#comparison = undefined;
      throw new Error(`pgmirror serves nobody any more: ${error instanceof Error ? error.message : ''}`, {
        cause: error,
      });
    }
  }

  /** Ends all clients. */
  async close(): Promise<void> {
    const clients = [this.#direct, this.#pooled, this.#bystander];
    this.#direct = this.#pooled = this.#bystander = undefined;
    await Promise.all(clients.map(async (client) => client?.destroy()));
  }

  async #leave(): Promise<void> {
    const pooled = this.#pooled;
    this.#pooled = undefined;
    await pooled?.end();
  }

  async #forget(): Promise<void> {
    const clients = [this.#direct, this.#pooled];
    this.#direct = this.#pooled = undefined;
    await Promise.all(clients.map(async (client) => client?.destroy()));
  }

  async #compareLeftBehind(): Promise<void> {
    const sides = [
      (this.#direct ??= await this.#comparison?.direct()),
      (this.#pooled ??= await this.#comparison?.pooled()),
    ];
    const [direct, pooled] = await Promise.all(
      sides.map(async (client) => {
        client?.send(leftBehind);
        const answer = await client?.readThrough(readyForQuery('I'), deadlineMs);
        return answer?.toString('latin1');
      }),
    );
    assert.equal(pooled, direct, 'what it left behind');
  }

  async #clean(client: WireClient, sql: string): Promise<void> {
    client.send(query('DISCARD ALL'), query(sql));
    const ready = readyForQuery('I');
    await client.readThrough(ready, deadlineMs);
    await client.readThrough(ready, deadlineMs);
  }

  async #ask(): Promise<string> {
    if (this.#bystander === undefined) {
      assert.ok(this.#comparison !== undefined);
      this.#bystander = await this.#comparison.pooled({ application_name: 'bystander' });
      this.#bystander.send(
        parse('a', "SELECT 'named'"),
        parse('surroundings', surroundings),
        parse('', "SELECT 'unnamed'"),
        sync,
      );
      await this.#bystander.readThrough(readyForQuery('I'), deadlineMs);
      this.#found = await this.#answer();
    }
    return this.#answer();
  }

  async #answer(): Promise<string> {
    const client = this.#bystander;
    assert.ok(client !== undefined);
    client.send(question);
    const answer = splitMessages(await client.readThrough(readyForQuery('I'), deadlineMs)).messages;
    return answer
      .filter(({ type }) => type !== 'S')
      .map(describeMessage)
      .join('\n');
  }
}

function isAstray(lines: readonly string[] | undefined): boolean {
  return wentAstray.test(lines?.join('\n') ?? '');
}

/** Whether there is a Query or a FunctionCall behind an Execute, with no Sync between them. */
function mayGoAstray(operations: readonly Operation[]): boolean {
  return /execute(?: (?!sync)\w+)* (?:query|call)/.test(operations.map(({ op }) => op).join(' '));
}

/** Whether the client of PostgreSQL itself did not get its last words, and that of pgmirror did. */
function lostLastWords(direct: readonly string[] | undefined, pooled: readonly string[] | undefined): boolean {
  return direct?.at(-1) === 'closed' && !hasLastWords(direct) && hasLastWords(pooled);
}

function hasLastWords(lines: readonly string[] | undefined): boolean {
  return lines?.some((line) => lastWords.test(line)) === true;
}

function withoutLastWords(lines: readonly string[] | undefined): readonly string[] | undefined {
  return lines?.filter((line) => !lastWords.test(line));
}

/** PostgreSQL says that a Terminate amid COPY data was not expected; pgmirror closes. */
function withoutEndOfCopy(lines: readonly string[] | undefined): readonly string[] | undefined {
  const isAnswer = (line: string): boolean => /unexpected message type during COPY/.test(line) || lastWords.test(line);
  return lines?.filter((line) => !isAnswer(line));
}

/** Whether a client that has just come is served as if nobody had been there before. */
async function serves(comparison: Comparison): Promise<boolean> {
  const traces = await comparison.traces().catch(() => ['no answer']);
  return traces.length === 0;
}
