/** A login that cannot succeed although both sides keep to the protocol. `code` is the SQLSTATE that fits. */
export class AuthenticationError extends Error {
  override readonly name = 'AuthenticationError';
  readonly code: string;

  constructor(message: string, code = '28000') {
    super(message);
    this.code = code;
  }
}
