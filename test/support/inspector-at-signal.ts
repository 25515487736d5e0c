import { open, url } from 'node:inspector';
import { isMainThread } from 'node:worker_threads';

/**
 * Loaded before pgmirror where its processes are to be inspected: opens Node's inspector on a free port at SIGWINCH, which
 * means nothing to a process without a terminal. (SIGUSR1, Node's own for that, is pgmirror's.)
 */
if (isMainThread) {
  process.on('SIGWINCH', () => {
    if (url() === undefined) open(0, '127.0.0.1');
  });
}
