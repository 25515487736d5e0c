import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { existsSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { createServer } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { describe, it } from 'node:test';
import type { TestContext } from 'node:test';
import { claimPort, claimSocketPath } from '../../src/supervisor/exclusive-address.ts';
import { listening } from '../net/sockets.ts';

function folder(t: TestContext): string {
  const path = mkdtempSync(join(tmpdir(), 'pgmirror-address-'));
  t.after(() => rmSync(path, { recursive: true, force: true }));
  return path;
}

describe('claiming a port', () => {
  it('finds out that somebody listens there, also one who shares the port', async (t) => {
    const server = createServer();
    server.listen({ port: 0, host: '127.0.0.1', reusePort: true });
    await once(server, 'listening');
    t.after(() => server.close());
    const address = server.address();
    assert.ok(typeof address === 'object' && address !== null);
    await assert.rejects(claimPort('127.0.0.1', address.port), { code: 'EADDRINUSE' });
  });

  it('leaves it free', async (t) => {
    const { server, port } = await listening(t);
    server.close();
    await once(server, 'close');
    await claimPort('127.0.0.1', port);
    await claimPort('127.0.0.1', port);
    await assert.rejects(claimPort('192.0.2.1', port), { code: 'EADDRNOTAVAIL' });
  });
});

describe('claiming a socket path', () => {
  it('is fine where nothing is', async (t) => {
    await claimSocketPath(join(folder(t), '.s.PGSQL.6432'));
  });

  it('is refused where somebody listens, whose file stays', async (t) => {
    const path = join(folder(t), '.s.PGSQL.6432');
    await listening(t, path);
    await assert.rejects(claimSocketPath(path), {
      code: 'EADDRINUSE',
      message: `cannot listen on ${path}: the address is in use`,
    });
    assert.ok(existsSync(path));
  });

  it('takes away the file of one who died', async (t) => {
    const path = join(folder(t), '.s.PGSQL.6432');
    const listen = `require('node:net').createServer().listen(${JSON.stringify(path)}, () => console.log('listening'))`;
    const child = spawn(process.execPath, ['-e', listen], { stdio: ['ignore', 'pipe', 'inherit'] });
    await once(child.stdout, 'data');
    child.kill('SIGKILL');
    await once(child, 'exit');
    assert.ok(existsSync(path));
    await claimSocketPath(path);
    assert.equal(existsSync(path), false);
  });

  it('does not take away a file that is no socket', async (t) => {
    const path = join(folder(t), '.s.PGSQL.6432');
    writeFileSync(path, 'precious');
    await claimSocketPath(path).catch(() => undefined);
    assert.ok(existsSync(path));
  });
});
