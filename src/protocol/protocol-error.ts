/** A peer broke the protocol: its connection cannot go on. `code` is the SQLSTATE PostgreSQL uses for it. */
export class ProtocolError extends Error {
  override readonly name = 'ProtocolError';
  readonly code: string;

  constructor(message: string, code = '08P01') {
    super(message);
    this.code = code;
  }
}
