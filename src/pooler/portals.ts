import type { Executed } from './request-subject.ts';

/** What a client's portals were bound to. They end with their transaction, whether they were closed or not. */
export class Portals {
  #unnamed: Executed | undefined;
  #named: Map<string, Executed> | undefined;

  /** The portal whose name is at `start`–`end` was bound. */
  bound(bytes: Buffer, start: number, end: number, executed: Executed | undefined): void {
    if (start === end) this.#unnamed = executed;
    else if (executed !== undefined) {
      (this.#named ??= new Map<string, Executed>()).set(bytes.toString('latin1', start, end), executed);
    }
  }

  /** What the one whose name is at `start`–`end` runs. */
  find(bytes: Buffer, start: number, end: number): Executed | undefined {
    return start === end ? this.#unnamed : this.#named?.get(bytes.toString('latin1', start, end));
  }

  /** There are none any more. */
  forget(): void {
    this.#unnamed = undefined;
    this.#named = undefined;
  }
}
