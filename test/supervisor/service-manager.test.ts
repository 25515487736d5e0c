import assert from 'node:assert/strict';
import { chmodSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { describe, it } from 'node:test';
import { notifyServiceManager, takeListenFds } from '../../src/supervisor/service-manager.ts';

describe('sockets that a service manager passes', () => {
  it('are those from 3 on, as many as it says, and nobody else is told', () => {
    const environment = { LISTEN_FDS: '2', LISTEN_PID: '77', LISTEN_FDNAMES: 'a:b', HOME: '/' };
    assert.deepEqual(takeListenFds(environment, 77), [3, 4]);
    assert.deepEqual(environment, { HOME: '/' });
  });

  for (const [why, environment] of [
    ['without the variables', {}],
    ['for another process', { LISTEN_FDS: '1', LISTEN_PID: '78' }],
    ['where the number is none', { LISTEN_FDS: '-1', LISTEN_PID: '77' }],
    ['where there are none', { LISTEN_FDS: '0', LISTEN_PID: '77' }],
  ] as const) {
    it(`are none ${why}`, () => {
      const copy: NodeJS.ProcessEnv = { ...environment };
      assert.deepEqual(takeListenFds(copy, 77), []);
      assert.deepEqual(copy, {});
    });
  }
});

describe('telling systemd', () => {
  it('is not tried where nobody wants to know', async () => {
    assert.equal(await notifyServiceManager({ NOTIFY_SOCKET: '' }, 'READY=1'), undefined);
  });

  it('is left to systemd-notify, whose failure is told', async (t) => {
    const folder = mkdtempSync(join(tmpdir(), 'notify-'));
    const path = process.env.PATH;
    t.after(() => {
      process.env.PATH = path;
      rmSync(folder, { recursive: true });
    });
    const program = join(folder, 'systemd-notify');
    writeFileSync(program, `#!/bin/sh\necho "$@" > '${folder}/said'\ntest "$1" = READY=1\n`);
    chmodSync(program, 0o755);
    process.env.PATH = `${folder}:${path}`;
    assert.equal(await notifyServiceManager({ NOTIFY_SOCKET: '/run/notify' }, 'READY=1', 'STATUS=fine'), undefined);
    assert.equal(readFileSync(join(folder, 'said'), 'utf8'), 'READY=1 STATUS=fine\n');
    assert.match((await notifyServiceManager({ NOTIFY_SOCKET: '/run/notify' }, 'STOPPING=1')) ?? '', /1/);
    assert.match((await notifyServiceManager({ NOTIFY_SOCKET: '/run/notify' }, 'STATUS=\0')) ?? '', /null bytes/);
    process.env.PATH = join(folder, 'nothing');
    assert.match((await notifyServiceManager({ NOTIFY_SOCKET: '/run/notify' }, 'READY=1')) ?? '', /ENOENT/);
  });
});
