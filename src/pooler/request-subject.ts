import type { ErrorFields } from '../protocol/backend-messages.ts';
import type { ClientStatement } from '../session/client-statements.ts';
import type { PreparedText } from '../session/statement-names.ts';
import type { StatementText } from './session-link.ts';

/** What the answer to an injected or rewritten message means, kept beside it in the answer queue. */
export type Subject =
  | { readonly kind: 'parse'; readonly statement: ClientStatement }
  /** Parse under a name that is taken: it is to fail. */
  | { readonly kind: 'parse again'; readonly statement: ClientStatement; readonly definition: Buffer }
  | { readonly kind: 'prepare'; readonly text: PreparedText }
  | { readonly kind: 'describe'; readonly text: PreparedText; readonly statement: ClientStatement | undefined }
  | { readonly kind: 'close'; readonly statement: ClientStatement }
  | { readonly kind: 'deallocate'; readonly statement: ClientStatement }
  | { readonly kind: 'drop'; readonly text: PreparedText }
  /** Parse or Close of the unnamed statement; whose it was on the server before. */
  | { readonly kind: 'unnamed'; readonly unnamed: StatementText | undefined; readonly ownerBefore: object | undefined }
  /** The statement's result is of another shape than the client was told: the server's error is made PostgreSQL's. */
  | { readonly kind: 'stale'; readonly before: Buffer }
  /** A statement too many: the server's error is made this one. */
  | { readonly kind: 'refused'; readonly error: ErrorFields };

/** What a Query or an Execute runs: asked for its text where the answer makes that matter. */
export type Executed = StatementText | PreparedText;
