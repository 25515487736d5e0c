import type { ErrorFields } from '../protocol/backend-messages.ts';
import { NAME_BYTES } from '../session/client-statements.ts';
import type { ClientStatement } from '../session/client-statements.ts';
import { beginsTransaction } from '../session/begins-transaction.ts';
import type { PreparedText } from '../session/statement-names.ts';
import type { StatementText } from './session-link.ts';

/** Where a name stands in a message: behind its zero byte is `nameEnd`. */
interface Named {
  readonly nameStart: number;
  readonly nameEnd: number;
}

/** What the answer to a message means that was injected or rewritten, kept beside it in the answer queue. */
export type Subject =
  /** Bind or Describe of a statement. */
  | ClientStatement
  | { readonly kind: 'parse'; readonly statement: ClientStatement }
  /** Parse under a name that is taken: it is to fail. */
  | {
      readonly kind: 'parse again';
      readonly statement: ClientStatement;
      /** The name as it stands in the message (latin1), here and below. */
      readonly name: string;
      readonly definition: Buffer;
    }
  | { readonly kind: 'prepare'; readonly text: PreparedText }
  | { readonly kind: 'describe'; readonly text: PreparedText; readonly statement: ClientStatement | undefined }
  | { readonly kind: 'close'; readonly statement: ClientStatement }
  | { readonly kind: 'deallocate'; readonly statement: ClientStatement }
  | { readonly kind: 'drop'; readonly text: PreparedText }
  /** Parse or Close of the unnamed statement. */
  | { readonly kind: 'unnamed'; readonly deallocates: ClientStatement | undefined }
  /** A name that its client has not given to any statement, or not so, and that is kept from the server. */
  | { readonly kind: 'unknown'; readonly name: string }
  /** The statement's result is of another shape than the client was told: the server's error is made PostgreSQL's. */
  | { readonly kind: 'stale'; readonly before: Buffer }
  /** Describe of a statement that the server has not, answered for a stand-in: its parameters are these. */
  | { readonly kind: 'told'; readonly parameters: Buffer }
  /** The server is not to do this, or cannot say why not: its error is made this one. */
  | { readonly kind: 'refused'; readonly error: ErrorFields };

/** The client's own name of the statement that a message speaks of, where the server knows it by another (latin1). */
export function clientNameOf(subject: Subject | undefined): string | undefined {
  switch (subject?.kind) {
    case 'statement':
    case 'unknown':
    case 'parse again':
      return subject.name;
    case 'parse':
    case 'close':
    case 'deallocate':
      return subject.statement.name;
    case 'unnamed':
      return subject.deallocates?.name;
    default:
      return undefined;
  }
}

/** The name that stands in a message, as latin1. */
export function nameIn(bytes: Buffer, { nameStart, nameEnd }: Named): string {
  return bytes.toString('latin1', nameStart, nameEnd - 1);
}

/** What is kept beside a Bind or Describe of a statement. It may have it by a long name that is the same to PostgreSQL. */
export function useOf(statement: ClientStatement, bytes: Buffer, named: Named): Subject {
  const isSame = statement.name.length <= NAME_BYTES && named.nameEnd - named.nameStart <= NAME_BYTES + 1;
  if (isSame) return statement;
  return { kind: 'unknown', name: nameIn(bytes, named) };
}

/** What a Query or an Execute runs: asked for its text where the answer makes that matter. */
export type Executed = StatementText | PreparedText;

/** The text that a message prepares, describes or closes on the server. */
export function textOf(subject: Subject | undefined): PreparedText | undefined {
  switch (subject?.kind) {
    case 'parse':
    case 'deallocate':
      return subject.statement.text;
    case 'close':
      return subject.statement.text.isOwn ? subject.statement.text : undefined;
    case 'prepare':
    case 'describe':
    case 'drop':
      return subject.text;
    default:
      return undefined;
  }
}

/** Whether it does nothing but begin a transaction block. */
export function isBegin(executed: Executed): boolean {
  return 'bytes' in executed ? beginsTransaction(executed.bytes, executed.start) : executed.beginsTransaction;
}
