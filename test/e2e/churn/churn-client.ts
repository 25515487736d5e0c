import { Random } from '../../../src/cli/demo/random.ts';
import {
  bind,
  describe,
  errorFields,
  execute,
  flush,
  parse,
  query,
  rowValues,
  sync,
  terminate,
  type Message,
} from '../../support/bytes.ts';
import { WireClient, type WireAddress } from '../../support/wire-client.ts';
import { copyData, copyDone } from '../wire/copy-messages.ts';

/** What ends a session that nobody asked to end: its server was killed. */
const KILLED = new Set(['57P01', '08006']);
const CANCELLED = '57014';
const ANSWER_MS = 30_000;

/** The session is over: by what the server said, or without a word. */
class SessionOver extends Error {}

/** What clients did in all, so that a run that did nothing does not pass. */
export interface ChurnCounts {
  sessions: number;
  answers: number;
  vanished: number;
  cancelled: number;
  killed: number;
}

/**
 * A client that does one thing after the other, as its random numbers say, in session after session. Everything it asks
 * carries its own tag, and everything that it is told is looked at: rows, errors, notices, notifications and parameters of
 * somebody else's end the run.
 */
export class ChurnClient {
  /** Rows that it knows to be committed, and those of which it was never told. */
  readonly committed = new Set<number>();
  readonly unknown = new Set<number>();
  readonly #number: number;
  readonly #random: Random;
  readonly #address: WireAddress;
  readonly #counts: ChurnCounts;
  #client: WireClient | undefined;
  #session = 0;
  #row = 0;
  #cancelSent = false;
  #setting = '';
  #prepared = '';

  constructor(number: number, seed: number, address: WireAddress, counts: ChurnCounts) {
    this.#number = number;
    this.#random = new Random(seed * 1_000 + number);
    this.#address = address;
    this.#counts = counts;
  }

  /** Until `stopping`; rejects with what it should not have seen. */
  async run(stopping: AbortSignal): Promise<void> {
    while (!stopping.aborted) {
      try {
        await this.#logIn();
        for (let left = this.#random.between(1, 25); left > 0 && !stopping.aborted; left--) await this.#act();
        await this.#leave();
      } catch (error) {
        await this.#client?.destroy();
        if (!(error instanceof SessionOver)) throw error;
      }
    }
  }

  get #tag(): string {
    return `client ${this.#number} session ${this.#session}`;
  }

  get #connection(): WireClient {
    if (this.#client === undefined) throw new Error('not logged in');
    return this.#client;
  }

  async #logIn(): Promise<void> {
    this.#session++;
    this.#counts.sessions++;
    this.#cancelSent = false;
    this.#setting = '';
    this.#prepared = '';
    const version = this.#random.between(0, 1) === 0 ? 0x30000 : 0x30002;
    const parameters = { application_name: this.#tag };
    try {
      this.#client = await WireClient.login(this.#address, { user: 'alice', database: 'app', version, parameters });
    } catch (error) {
      // The first of its kind has its settings tried on a server, which may be killed meanwhile.
      if (/08006|57P01/.test(String(error))) throw new SessionOver('refused');
      throw error;
    }
    this.#same(this.#client.parameters.get('application_name'), this.#tag, 'reported at login');
  }

  async #act(): Promise<void> {
    const act = this.#random.weighted<() => Promise<void>>([
      [20, async () => this.#select()],
      [20, async () => this.#selectExtended()],
      [10, async () => this.#prepare()],
      [15, async () => this.#block()],
      [8, async () => this.#fail()],
      [6, async () => this.#copy()],
      [5, async () => this.#set()],
      [5, async () => this.#notice()],
      [4, async () => this.#listen()],
      [4, async () => this.#temporary()],
      [6, async () => this.#cancel()],
      [6, async () => this.#vanish()],
    ]);
    await act();
  }

  async #select(): Promise<void> {
    const rows = await this.#rows(query(`SELECT '${this.#tag}', current_setting('application_name')`));
    for (const row of rows) this.#same(row.join(), `${this.#tag},${this.#tag}`, 'a row');
  }

  async #selectExtended(): Promise<void> {
    const several = this.#random.between(1, 4);
    const messages: Buffer[] = [];
    for (let n = 0; n < several; n++) {
      messages.push(
        parse('', 'SELECT $1::text, $2::int'),
        bind('', '', this.#tag, String(n)),
        describe('P', ''),
        execute(''),
        sync,
      );
    }
    this.#connection.send(...messages);
    for (let n = 0; n < several; n++) {
      for (const row of rowsOf(await this.#answer())) this.#same(row.join(), `${this.#tag},${n}`, 'a row');
    }
  }

  /** A named statement, whose name others use for other texts. */
  async #prepare(): Promise<void> {
    if (this.#prepared === '') {
      const text = `SELECT '${this.#tag}', $1::int`;
      this.#connection.send(parse('named', text), sync);
      const answer = await this.#answer();
      if (answer.some(({ type }) => type === 'E')) return;
      this.#prepared = text;
    }
    const rows = await this.#rows(bind('', 'named', '7'), execute(''), sync);
    for (const row of rows) this.#same(row.join(), `${this.#tag},7`, 'a row of a named statement');
  }

  async #block(): Promise<void> {
    const row = ++this.#row;
    const commits = this.#random.between(0, 2) > 0;
    if (commits) this.unknown.add(row);
    const begun = await this.#ask('BEGIN');
    if (!isIn(begun, 'T')) return this.#undone(row);
    await this.#ask(`INSERT INTO churn VALUES (${this.#number}, ${row})`);
    if (this.#setting !== '') await this.#checkSetting();
    const ended = await this.#ask(commits ? 'COMMIT' : 'ROLLBACK');
    const done = ended.some(({ type, body }) => type === 'C' && body.toString('latin1') === 'COMMIT\0');
    if (!done) return this.#undone(row);
    this.unknown.delete(row);
    this.committed.add(row);
    return undefined;
  }

  async #fail(): Promise<void> {
    const messages =
      this.#random.between(0, 1) === 0
        ? [query(`SELECT '${this.#tag}'::int`)]
        : [parse('', 'SELECT $1::int'), bind('', '', this.#tag), execute(''), sync, query('SELECT 1')];
    this.#connection.send(...messages);
    const answer = await this.#answer(this.#tag);
    if (!answer.some(({ type }) => type === 'E')) throw new Error(`${this.#tag}: no error`);
    if (messages.length > 1) await this.#answer();
  }

  async #copy(): Promise<void> {
    const row = ++this.#row;
    this.unknown.add(row);
    this.#connection.send(query('COPY churn FROM STDIN'));
    const started = await this.#connection.read(ANSWER_MS).catch(over);
    if (started.type !== 'G') {
      await this.#judge(started);
      if (started.type !== 'Z') await this.#answer();
      return this.#undone(row);
    }
    this.#connection.send(copyData(`${this.#number}\t${row}\n`), copyDone);
    const done = (await this.#answer()).some(({ type }) => type === 'C');
    if (!done) return this.#undone(row);
    this.unknown.delete(row);
    this.committed.add(row);
    const rows = await this.#rows(query(`COPY (SELECT '${this.#tag}') TO STDOUT`));
    for (const [text] of rows) this.#same(text ?? '', this.#tag, 'copied');
    return undefined;
  }

  async #set(): Promise<void> {
    const setting = `${this.#tag} ${this.#random.between(1, 1000)}`;
    const answer = await this.#ask(`SET churn.tag = '${setting}'`);
    if (answer.some(({ type }) => type === 'E')) return;
    this.#setting = setting;
    await this.#checkSetting();
  }

  async #checkSetting(): Promise<void> {
    for (const [value] of await this.#rows(query('SHOW churn.tag'))) this.#same(value, this.#setting, 'a setting');
  }

  async #notice(): Promise<void> {
    await this.#ask(`DO $$ BEGIN RAISE NOTICE 'to ${this.#tag}'; END $$`);
  }

  async #listen(): Promise<void> {
    const channel = `of_${this.#number}_${this.#session}`;
    await this.#ask(`LISTEN ${channel}`);
    await this.#ask(`NOTIFY ${channel}, '${this.#tag}'`);
    if (this.#random.between(0, 2) > 0) await this.#ask('UNLISTEN *');
  }

  async #temporary(): Promise<void> {
    const name = `mine_${++this.#row}`;
    const made = await this.#ask(`CREATE TEMPORARY TABLE ${name} AS SELECT '${this.#tag}' AS tag`);
    if (made.some(({ type }) => type === 'E')) return;
    for (const [tag] of await this.#rows(query(`SELECT tag FROM ${name}`)))
      this.#same(tag, this.#tag, 'a temporary table');
    if (this.#random.between(0, 2) > 0) await this.#ask(`DROP TABLE ${name}`);
  }

  async #cancel(): Promise<void> {
    const { processId, secretKey } = this.#connection;
    this.#cancelSent = true;
    this.#connection.send(query(`SELECT '${this.#tag}', pg_sleep(0.02)`));
    const cancelling = WireClient.cancel(this.#address, processId, secretKey);
    const [answer] = await Promise.all([this.#answer(), cancelling]);
    for (const [tag] of rowsOf(answer)) this.#same(tag, this.#tag, 'a row');
  }

  /** Goes away without a word, in the middle of something. */
  async #vanish(): Promise<void> {
    const row = ++this.#row;
    const insert = `INSERT INTO churn VALUES (${this.#number}, ${row})`;
    const client = this.#connection;
    const where = this.#random.between(0, 8);
    if (where === 1 || where === 5) this.unknown.add(row);
    const sent: readonly Buffer[] = [
      query(`SELECT pg_sleep(0.05), '${this.#tag}'`),
      query(insert),
      query(`BEGIN; ${insert}`),
      query('COPY churn FROM STDIN'),
      query('SELECT 1').subarray(0, this.#random.between(1, 9)),
      Buffer.concat([parse('', insert), bind('', ''), execute(''), sync]),
      Buffer.concat([parse('', insert), bind('', ''), execute(''), flush]),
      query(`SELECT repeat('${this.#tag}', 100000)`),
      query(`BEGIN; PREPARE churning AS SELECT '${this.#tag}'`),
    ];
    client.send(sent[where] ?? sync);
    if (this.#random.between(0, 1) === 0) await this.#judge(await client.read(this.#random.between(5, 40)).catch(over));
    this.#counts.vanished++;
    if (this.#random.between(0, 1) === 0) await client.reset();
    else await client.destroy();
    throw new SessionOver('vanished');
  }

  async #leave(): Promise<void> {
    this.#connection.send(terminate);
    await this.#connection.waitForClose(ANSWER_MS).catch((error: unknown) => {
      throw new Error(`${this.#tag} (pid ${this.#connection.processId}) is not let go`, { cause: error });
    });
  }

  async #ask(text: string): Promise<Message[]> {
    this.#connection.send(query(text));
    return this.#answer();
  }

  async #rows(...messages: readonly Buffer[]): Promise<(string | null)[][]> {
    this.#connection.send(...messages);
    return rowsOf(await this.#answer());
  }

  /** An answer to its ReadyForQuery. `expected`: what an error may say. */
  async #answer(expected?: string): Promise<Message[]> {
    const messages: Message[] = [];
    for (;;) {
      const message = await this.#connection.read(ANSWER_MS).catch(over);
      await this.#judge(message, expected);
      messages.push(message);
      if (message.type !== 'Z') continue;
      this.#counts.answers++;
      return messages;
    }
  }

  async #judge(message: Message, expected?: string): Promise<void> {
    const { type, body } = message;
    const text = body.toString('utf8');
    if (type === 'N' && !text.includes(`to ${this.#tag}\0`)) throw new Error(`${this.#tag}: notice ${text}`);
    if (type === 'A' && !text.endsWith(`\0${this.#tag}\0`)) throw new Error(`${this.#tag}: notification ${text}`);
    if (type === 'S' && text.startsWith('application_name\0')) this.#same(text.slice(17, -1), this.#tag, 'a parameter');
    if (type !== 'E') return;
    const { S: severity, C: code = '', M: reason = '' } = errorFields(message);
    // Not FATAL: it was killed before it was this client's.
    if (severity !== 'FATAL' && code === '08006') return;
    if (severity === 'FATAL' && KILLED.has(code)) {
      this.#counts.killed++;
      await this.#connection.waitForClose(ANSWER_MS);
      throw new SessionOver(code);
    }
    if (code === CANCELLED && this.#cancelSent) {
      this.#counts.cancelled++;
      return;
    }
    // After a statement of a block that was cancelled.
    if (code === '25P02' && this.#cancelSent) return;
    if (expected === undefined || !reason.includes(expected))
      throw new Error(`${this.#tag}: ${severity} ${code} ${reason}`);
  }

  #same(actual: string | null | undefined, expected: string, what: string): void {
    if (actual !== expected) throw new Error(`${this.#tag} sees ${what}: ${JSON.stringify(actual)}, not ${expected}`);
  }

  #undone(row: number): void {
    this.unknown.delete(row);
  }
}

function rowsOf(messages: readonly Message[]): (string | null)[][] {
  return messages.flatMap((message) => {
    if (message.type === 'D') return [rowValues(message)];
    return message.type === 'd' ? [[message.body.toString('utf8').trimEnd()]] : [];
  });
}

function isIn(messages: readonly Message[], status: string): boolean {
  return messages.at(-1)?.body.toString('latin1') === status;
}

/** The connection ended, or no answer came within the time that is left to it. */
function over(error: unknown): never {
  if (/waited 30000 ms/.test(String(error))) throw error;
  throw new SessionOver(String(error));
}
