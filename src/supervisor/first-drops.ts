import type { Logger } from 'pino';
import { DROP_REASONS } from '../mirror/record/drop-reason-names.ts';
import type { MirrorIds } from './mirrors.ts';

/** Logs the first drop for each mirror and reason, whichever thread tells it first: whoever sees drops counted finds a line. */
export class FirstDrops {
  readonly #logger: Logger;
  readonly #ids: MirrorIds;
  readonly #told = new Set<string>();

  constructor(logger: Logger, ids: MirrorIds) {
    this.#logger = logger;
    this.#ids = ids;
  }

  /** A transaction of this user was dropped for the mirror; `index` is that of the reason. */
  note(mirror: number, index: number, user: string): void {
    const reason = DROP_REASONS[index] ?? '';
    const key = `${mirror} ${reason}`;
    if (this.#told.has(key)) return;
    this.#told.add(key);
    this.#logger.warn(
      { ...this.#ids.nameOf(mirror), user, reason },
      'the first transaction was dropped for this reason; more are counted, and not logged',
    );
  }
}
