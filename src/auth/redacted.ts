import { inspect } from 'node:util';

const REDACTED = '[redacted]';

/**
 * Base of everything that holds a secret: printed, inspected, logged or serialized, it shows that it is there and
 * nothing else.
 */
export abstract class Redacted {
  toString(): string {
    return REDACTED;
  }

  toJSON(): string {
    return REDACTED;
  }

  [inspect.custom](): string {
    return REDACTED;
  }
}
