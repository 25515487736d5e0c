import { once } from 'node:events';

import type { Cleanup } from './cleanup.ts';
import { eventually, within } from './eventually.ts';
import type { Pgmirror } from './pgmirror.ts';

/** Environment for a pgmirror whose processes are to be inspected: each opens its inspector on a port of its own. */
export const inspectable = {
  NODE_OPTIONS: `--import=${new URL('inspector-at-signal.ts', import.meta.url).href}`,
} as const;

/**
 * Node's inspector of one of pgmirror's processes, opened by SIGWINCH: runs code in a process that knows nothing of tests.
 * The process must have been started with {@link inspectable}.
 */
export class Inspector {
  readonly #socket: WebSocket;
  readonly #answers = new Map<number, (answer: unknown) => void>();
  readonly #threads = new Map<string, string>();
  #next = 1;

  private constructor(socket: WebSocket) {
    this.#socket = socket;
    socket.addEventListener('message', (event) => this.#received(JSON.parse(String(event.data)) as Answer));
  }

  /** Opens the inspector of a process of this pgmirror. */
  static async open(cleanup: Cleanup, pgmirror: Pgmirror, processId: number): Promise<Inspector> {
    const from = pgmirror.stderr.length;
    process.kill(processId, 'SIGWINCH');
    // A process says so once, however often it is asked.
    const listens = (): string | undefined => /listening on (ws:\S+)/.exec(pgmirror.stderr.slice(from))?.[1];
    const url = listening.get(processId) ?? (await eventually(listens, { what: 'the inspector to listen' }));
    listening.set(processId, url);
    const socket = new WebSocket(url);
    cleanup.after(() => socket.close());
    await within(once(socket, 'open'), 10_000, 'the inspector to answer');
    return new Inspector(socket);
  }

  /**
   * Has code run in the process's main thread, a moment after this resolved, and lets go of the process: one that ends
   * would otherwise wait for its debugger.
   */
  async run(expression: string): Promise<void> {
    await within(this.#call('Runtime.evaluate', { expression: soon(expression) }), 10_000, 'the code to be taken');
    await this.#close();
  }

  /** The same in the worker thread whose title or file contains `name`; of several, in the first. */
  async runInThread(name: string, expression: string): Promise<void> {
    await this.#call('NodeWorker.enable', { waitForDebuggerOnStart: false });
    const find = (): string | undefined => [...this.#threads].find(([, title]) => title.includes(name))?.[0];
    const sessionId = await eventually(find, { what: `a thread ${name}` });
    const message = JSON.stringify({ id: 1, method: 'Runtime.evaluate', params: { expression: soon(expression) } });
    await within(this.#call('NodeWorker.sendMessageToWorker', { sessionId, message }), 10_000, 'the code to be taken');
    await this.#close();
  }

  async #close(): Promise<void> {
    const closed = once(this.#socket, 'close');
    this.#socket.close();
    await within(closed, 10_000, 'the inspector to close');
  }

  async #call(method: string, params: object): Promise<unknown> {
    const id = this.#next++;
    const answered = new Promise((resolve) => this.#answers.set(id, resolve));
    this.#socket.send(JSON.stringify({ id, method, params }));
    return answered;
  }

  #received(message: Answer): void {
    if (message.id !== undefined) this.#answers.get(message.id)?.(message);
    if (message.method !== 'NodeWorker.attachedToWorker') return;
    const { sessionId, workerInfo } = message.params as AttachedToWorker;
    this.#threads.set(sessionId, `${workerInfo.title} ${workerInfo.url}`);
  }
}

/** Where the inspectors of processes listen. */
const listening = new Map<number, string>();

function soon(expression: string): string {
  return `setTimeout(() => { ${expression} }, 50); undefined`;
}

interface Answer {
  readonly id?: number;
  readonly method?: string;
  readonly params?: unknown;
}

interface AttachedToWorker {
  readonly sessionId: string;
  readonly workerInfo: { readonly title: string; readonly url: string };
}
