import { spawn, type ChildProcess } from 'node:child_process';
import { once } from 'node:events';
import { chmod, mkdtemp } from 'node:fs/promises';
import { join } from 'node:path';

/**
 * What the janitor's shell runs. It reads `started <pid> <signal>` and `ended <pid>` from its standard input until that
 * ends, which happens when its owner closes it or dies in whatever way (the kernel closes the pipe). Then it ends the
 * processes that are still listed (after five seconds with KILL) and removes the folder.
 */
const script = `
trap '' HUP INT QUIT TERM
folder=$1
listed=''
while read -r verb pid signal; do
  case $verb in
    started) listed="$listed $pid:$signal" ;;
    ended)
      others=''
      for entry in $listed; do
        [ "\${entry%%:*}" = "$pid" ] || others="$others $entry"
      done
      listed=$others ;;
  esac
done
for entry in $listed; do
  kill -s "\${entry##*:}" "\${entry%%:*}" 2>/dev/null
done
turns=0
for entry in $listed; do
  while kill -0 "\${entry%%:*}" 2>/dev/null; do
    turns=$((turns + 1))
    [ "$turns" -gt 50 ] && kill -s KILL "\${entry%%:*}" 2>/dev/null
    sleep 0.1
  done
done
rm -rf "$folder" || { sleep 1; rm -rf "$folder"; }
`;

/** How the janitor ends a process whose owner died: the signal's name without `SIG`. */
export type JanitorSignal = 'TERM' | 'QUIT' | 'KILL';

/**
 * A temporary folder, and a small shell beside it that ends the processes listed with it and removes the folder once its
 * owner is gone. Nothing depends on exit handlers: a process that is killed with SIGKILL leaves as little behind as one that
 * calls `close()`, because the end of the pipe is what the shell waits for.
 *
 * It has a session of its own, so a Ctrl-C at the terminal does not reach it, and it never keeps its owner alive.
 */
export class Janitor {
  /** The folder, with access for its owner only. */
  readonly folder: string;
  readonly #shell: ChildProcess;

  private constructor(folder: string, shell: ChildProcess) {
    this.folder = folder;
    this.#shell = shell;
  }

  /** Makes a folder below `parent` whose name begins with `prefix`, and starts its janitor. */
  static async start(parent: string, prefix: string): Promise<Janitor> {
    const folder = await mkdtemp(join(parent, prefix));
    await chmod(folder, 0o700);
    const shell = spawn('/bin/sh', ['-c', script, 'pgmirror-janitor', folder], {
      cwd: '/',
      detached: true,
      stdio: ['pipe', 'ignore', 'ignore'],
    });
    await once(shell, 'spawn');
    shell.stdin?.on('error', () => {}); // the shell was killed by somebody: then there is nobody left to tell
    shell.unref();
    return new Janitor(folder, shell);
  }

  /** Lists a process until it exits: should this process die first, `signal` is what ends it. */
  watch(child: ChildProcess, signal: JanitorSignal): void {
    const { pid } = child;
    if (pid === undefined || child.exitCode !== null || child.signalCode !== null) return;
    this.#tell(`started ${pid} ${signal}\n`);
    child.once('exit', () => this.#tell(`ended ${pid}\n`));
  }

  /** Ends what is still listed, removes the folder, and resolves when both are done. */
  async close(): Promise<void> {
    if (this.#shell.exitCode !== null || this.#shell.signalCode !== null) return;
    this.#shell.ref();
    const exited = once(this.#shell, 'exit');
    this.#shell.stdin?.end();
    await exited;
  }

  #tell(line: string): void {
    if (this.#shell.stdin?.writable === true) this.#shell.stdin.write(line);
  }
}
