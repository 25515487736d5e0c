import { Frontend } from '../../protocol/message-types.ts';
import type { MirroredTransaction } from '../replay/mirrored-transaction.ts';
import type { PreparedStatement } from '../replay/prepared-statement.ts';
import { RequestCursor } from '../replay/request-cursor.ts';
import { nameAt, StatementTracker } from '../replay/statement-tracker.ts';
import type { QueryIdentifier, QueryIdentity } from './query-identifier.ts';

/** What one request asks. */
export interface RequestQuery {
  readonly query: QueryIdentity;
  /** It runs it, and does not only prepare it. */
  readonly isCall: boolean;
  /** It runs what an earlier request bound. */
  readonly isResumed: boolean;
  /** Its text, as bytes (latin1). */
  readonly text: string;
}

/** Different statements that a pipelined request is told by; what follows is not looked at. */
const MAX_STATEMENTS = 8;

const cursor = new RequestCursor();

/**
 * Tells what each request of a transaction asks; undefined for one that neither runs nor prepares a statement. Found out
 * once for a transaction, whatever mirrors it goes to.
 */
export class RequestQueries {
  readonly #identifier: QueryIdentifier;
  readonly #ofTransactions = new WeakMap<MirroredTransaction, (RequestQuery | undefined)[]>();
  readonly #ofStatements = new WeakMap<PreparedStatement, QueryIdentity>();

  constructor(identifier: QueryIdentifier) {
    this.#identifier = identifier;
  }

  of(transaction: MirroredTransaction, request: number): RequestQuery | undefined {
    let queries = this.#ofTransactions.get(transaction);
    if (queries === undefined) {
      queries = this.#look(transaction);
      this.#ofTransactions.set(transaction, queries);
    }
    return queries[request];
  }

  #look({ recorded, settings, unnamed, origin }: MirroredTransaction): (RequestQuery | undefined)[] {
    const conforming = settings.standardConformingStrings;
    const tracker = new StatementTracker(origin.statements, unnamed);
    const queries: (RequestQuery | undefined)[] = [];
    cursor.reset(recorded.recording);
    while (cursor.next()) {
      const found = cursor.isSimple ? this.#simple(tracker, conforming) : this.#messages(tracker, conforming);
      queries.push(found);
    }
    cursor.clear();
    return queries;
  }

  #simple(tracker: StatementTracker, conforming: boolean): RequestQuery {
    tracker.message(Frontend.Query, cursor.bytes, cursor.start, cursor.end);
    return this.#query(cursor.queryText(cursor.start, cursor.end), conforming);
  }

  #messages(tracker: StatementTracker, conforming: boolean): RequestQuery | undefined {
    const { bytes, end } = cursor;
    const run: PreparedStatement[] = [];
    let parsed = '';
    let isBound = false;
    for (let at = cursor.start; at < end;) {
      const messageEnd = cursor.messageEnd(at);
      const type = bytes[at] ?? 0;
      const statement = tracker.message(type, bytes, at, messageEnd);
      // A COPY in a simple query: the rest is its data.
      if (type === Frontend.Query) return this.#query(cursor.queryText(at, messageEnd), conforming);
      if (type === Frontend.Bind) isBound = true;
      if (type === Frontend.Parse) parsed = textOfParse(bytes, at, messageEnd);
      const isNew = type === Frontend.Execute && statement !== undefined && statement !== run.at(-1);
      if (isNew && run.length < MAX_STATEMENTS) run.push(statement);
      at = messageEnd;
    }
    const [first] = run;
    if (first === undefined) return parsed === '' ? undefined : { ...this.#query(parsed, conforming), isCall: false };
    if (run.length === 1) return { ...this.#prepared(first, conforming), isResumed: !isBound };
    return this.#query(run.map(({ text }) => text).join('; '), conforming);
  }

  #query(text: string, conforming: boolean): RequestQuery {
    return { query: this.#identifier.identify(text, conforming), isCall: true, isResumed: false, text };
  }

  #prepared(statement: PreparedStatement, conforming: boolean): RequestQuery {
    let query = this.#ofStatements.get(statement);
    if (query === undefined) {
      query = this.#identifier.identify(statement.text, conforming);
      this.#ofStatements.set(statement, query);
    }
    return { query, isCall: true, isResumed: false, text: statement.text };
  }
}

function textOfParse(bytes: Buffer, at: number, end: number): string {
  return nameAt(bytes, at + 5 + nameAt(bytes, at + 5, end).length + 1, end);
}
