import { NAME_BYTES } from '../session/client-statements.ts';
import type { Executed } from './request-subject.ts';

/**
 * What a client's portals were bound to. They end with their transaction, whether they were closed or not. Like
 * PostgreSQL, it tells longer names apart by their first bytes only, and keeps no more of them.
 */
export class Portals {
  #unnamed: Executed | undefined;
  #named: Map<string, Executed> | undefined;

  /** The portal whose name is at `start`–`end` was bound. */
  bound(bytes: Buffer, start: number, end: number, executed: Executed | undefined): void {
    if (start === end) this.#unnamed = executed;
    else if (executed !== undefined) {
      (this.#named ??= new Map<string, Executed>()).set(keyIn(bytes, start, end), executed);
    }
  }

  /** What the one whose name is at `start`–`end` runs. */
  find(bytes: Buffer, start: number, end: number): Executed | undefined {
    return start === end ? this.#unnamed : this.#named?.get(keyIn(bytes, start, end));
  }

  /** There are none any more. */
  forget(): void {
    this.#unnamed = undefined;
    this.#named = undefined;
  }
}

function keyIn(bytes: Buffer, start: number, end: number): string {
  return bytes.toString('latin1', start, Math.min(end, start + NAME_BYTES));
}
