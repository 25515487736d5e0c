/** What is done with a request that is not sent as it is, so that the mirror never commits what the source did not. */
export type Treatment =
  /** Nothing of it is sent. */
  | { readonly kind: 'omit' }
  /** Sent between BEGIN and ROLLBACK: an autocommit request that failed on the source. */
  | { readonly kind: 'wrap' }
  /** ROLLBACK is sent instead: a COMMIT that the source did not carry out. */
  | { readonly kind: 'rollback'; readonly chain: boolean }
  /** Sent without its closing statement (offsets into the recording), and then ROLLBACK where the source's block ended. */
  | { readonly kind: 'cut'; readonly from: number; readonly to: number; readonly rollback: 'none' | 'plain' | 'chain' };
