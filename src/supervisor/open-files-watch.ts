import { closeSync, openSync } from 'node:fs';
import { devNull } from 'node:os';
import type { Logger } from 'pino';
import { monotonicNow } from '../util/clock.ts';
import { openFilesLimit } from './open-files.ts';

const EVERY_MS = 1_000;

/** What of the file system it needs. */
export interface OpenFilesProbe {
  /** Opens a file and closes it again; throws with the error of open(2). */
  readonly open: () => void;
  readonly limit: () => number | undefined;
}

const SYSTEM: OpenFilesProbe = { open: () => closeSync(openSync(devNull, 'r')), limit: () => openFilesLimit() };

/**
 * Whoever connects while this process can open no more files is hung up on by Node.js, and nobody is told: neither the
 * listening server nor its owner. So it is tried every so often whether a file can be opened; the log says since when
 * none can, and when that is over.
 */
export class OpenFilesWatch {
  readonly #logger: Logger;
  readonly #probe: OpenFilesProbe;
  readonly #timer: NodeJS.Timeout;
  #exhaustedSince: number | undefined;

  constructor(logger: Logger, probe = SYSTEM) {
    this.#logger = logger;
    this.#probe = probe;
    this.#timer = setInterval(() => this.#look(), EVERY_MS).unref();
  }

  close(): void {
    clearInterval(this.#timer);
  }

  #look(): void {
    const reason = this.#exhaustion();
    if (reason !== undefined && this.#exhaustedSince === undefined) {
      this.#exhaustedSince = monotonicNow();
      const limit = this.#probe.limit();
      this.#logger.error(
        { reason, limit },
        'no more files can be opened: whoever connects is hung up on (LimitNOFILE=)',
      );
    } else if (reason === undefined && this.#exhaustedSince !== undefined) {
      const seconds = Math.round((monotonicNow() - this.#exhaustedSince) / 1_000);
      this.#exhaustedSince = undefined;
      this.#logger.info({ seconds }, 'files can be opened again');
    }
  }

  /** `undefined`: a file can be opened. */
  #exhaustion(): string | undefined {
    try {
      this.#probe.open();
    } catch (error) {
      const { code } = error as NodeJS.ErrnoException;
      if (code === 'EMFILE' || code === 'ENFILE') return code;
    }
    return undefined;
  }
}
