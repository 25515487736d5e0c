import { spawn } from 'node:child_process';
import { fileURLToPath } from 'node:url';
import type { FromMirrorProcess, ToMirrorProcess } from '../../../src/mirror/replay/mirror-process-messages.ts';
import { targetConfig } from './mirror-child.ts';

/** A program that starts the mirror process, says which one it is, and waits to be killed. */
const entry = fileURLToPath(new URL('../../../src/mirror/replay/mirror-process.ts', import.meta.url));
const child = spawn(process.execPath, [entry, process.argv[2] ?? ''], {
  stdio: ['ignore', 'ignore', 'inherit', 'ipc'],
});
const configure: ToMirrorProcess = {
  type: 'configure',
  epoch: 1,
  targets: [targetConfig({ host: '/nowhere', port: 1, user: 'app', password: '' }, 'app')],
  sourceLogins: [],
  instance: '',
  look: false,
  prepared: [],
};
child.on('message', (message: FromMirrorProcess) => {
  if (message.type === 'ready') child.send(configure);
  if (message.type === 'configured') console.log(JSON.stringify({ msg: 'configured', pid: child.pid }));
});
