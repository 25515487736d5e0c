import { execFileSync } from 'node:child_process';
import { chmodSync, mkdtempSync, readdirSync, readFileSync, readlinkSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';

import type { Cleanup } from './cleanup.ts';
import { eventually } from './eventually.ts';

/** Kinds of `process.getActiveResourcesInfo()` which a test owns; the others (its standard streams …) are the runner's. */
const ownedKinds = new Set([
  'TCPSocketWrap',
  'TCPServerWrap',
  'TLSWrap',
  'UDPWrap',
  'ProcessWrap',
  'Timeout',
  'MessagePort',
]);

/**
 * Gives this process a temporary folder of its own (`TMPDIR`, which children inherit), and tells later what was left behind: files in
 * that folder, processes that work in it or were started with it — also those whose parent is dead — and this
 * process's sockets, servers, timers and children.
 *
 * Made before anything starts: `const leaks = new LeakWatch()`; asked when everything has been stopped: `await leaks.assertNone()`.
 * `LeakWatch.during(inReverse({ after }))` does both.
 */
export class LeakWatch {
  readonly folder: string;
  readonly #before: ReadonlyMap<string, number>;
  readonly #previousFolder = process.env.TMPDIR;

  constructor() {
    this.folder = mkdtempSync(join(tmpdir(), 'pgmirror-test-'));
    chmodSync(this.folder, 0o755); // a PostgreSQL that runs as another user has its folder in here
    process.env.TMPDIR = this.folder;
    process.once('exit', () => rmSync(this.folder, { recursive: true, force: true })); // a test that failed earlier never asks
    this.#before = activeResources();
  }

  /** Watches from now on; when `cleanup` has undone all that registers after this, nothing may be left. */
  static during(cleanup: Cleanup, timeoutMs?: number): void {
    const leaks = new LeakWatch();
    cleanup.after(async () => leaks.assertNone(timeoutMs));
  }

  /** What is left right now, one line each. */
  left(): string[] {
    const resources = [...activeResources()].filter(([kind, count]) => count > (this.#before.get(kind) ?? 0));
    return [
      ...readdirSync(this.folder).map((name) => `file ${join(this.folder, name)}`),
      ...processesOf(this.folder).map((line) => `process ${line}`),
      ...resources.map(([kind, count]) => `${count - (this.#before.get(kind) ?? 0)} × ${kind}`),
    ];
  }

  /** Throws when something is still left after `timeoutMs`; then or otherwise the folder is removed. */
  async assertNone(timeoutMs = 5_000): Promise<void> {
    try {
      await eventually(
        () => {
          const left = this.left();
          if (left.length > 0) throw new Error(left.join('; '));
          return true;
        },
        { timeoutMs, what: 'nothing to be left behind' },
      );
    } finally {
      rmSync(this.folder, { recursive: true, force: true });
      if (this.#previousFolder === undefined) delete process.env.TMPDIR;
      else process.env.TMPDIR = this.#previousFolder;
    }
  }
}

function activeResources(): Map<string, number> {
  const counts = new Map<string, number>();
  for (const kind of process.getActiveResourcesInfo()) {
    if (ownedKinds.has(kind)) counts.set(kind, (counts.get(kind) ?? 0) + 1);
  }
  return counts;
}

/** Processes other than this one whose command line, environment or working folder names `folder`. */
function processesOf(folder: string): string[] {
  const own = String(process.pid);
  if (process.platform !== 'linux') {
    const lines = execFileSync('ps', ['-A', '-E', '-o', 'pid=,command='], { encoding: 'utf8' }).split('\n');
    return lines.filter((line) => line.includes(folder) && line.trim().split(' ')[0] !== own);
  }
  const found: string[] = [];
  for (const id of readdirSync('/proc').filter((name) => /^\d+$/.test(name) && name !== own)) {
    const told = [read(`/proc/${id}/cmdline`), read(`/proc/${id}/environ`), link(`/proc/${id}/cwd`)];
    if (told.some((text) => text.includes(folder))) found.push(`${id} ${told[0]?.replaceAll('\0', ' ').trim()}`);
  }
  return found;
}

function read(file: string): string {
  try {
    return readFileSync(file, 'latin1');
  } catch {
    return ''; // it ended meanwhile, or belongs to somebody else
  }
}

function link(file: string): string {
  try {
    return readlinkSync(file);
  } catch {
    return '';
  }
}
