import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';

import type { Cleanup } from './cleanup.ts';

/** Files in a folder of their own, which goes when the test or file is over. */
export class TemporaryFiles {
  readonly folder: string;

  private constructor(folder: string) {
    this.folder = folder;
  }

  static async start(cleanup: Cleanup): Promise<TemporaryFiles> {
    const folder = await mkdtemp(join(tmpdir(), 'pgmirror-data-'));
    cleanup.after(async () => rm(folder, { recursive: true, force: true }));
    return new TemporaryFiles(folder);
  }

  path(name: string): string {
    return join(this.folder, name);
  }

  /** Writes one, readable by its owner alone, and gives its path. */
  async write(name: string, text: string): Promise<string> {
    await writeFile(this.path(name), text, { mode: 0o600 });
    return this.path(name);
  }
}
