import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { openFilesLimit, openFilesNeeded } from '../../src/supervisor/open-files.ts';
import { load, TWO_DATABASES } from '../config/config-files.ts';
import { skipWithoutProc } from '../support/processes.ts';

describe('the files and sockets that may be open', () => {
  it('are as many as the system says', { skip: skipWithoutProc }, () => {
    const limits = (soft: string): string =>
      `Limit                     Soft Limit           Hard Limit           Units     \n` +
      `Max cpu time              unlimited            unlimited            seconds   \n` +
      `Max open files            ${soft.padEnd(20)} 4096                 files     \n`;
    assert.equal(
      openFilesLimit(() => limits('1024')),
      1024,
    );
    assert.equal(
      openFilesLimit(() => limits('unlimited')),
      undefined,
    );
    assert.ok((openFilesLimit() ?? Infinity) > 0);
  });

  it('are as many as anybody likes where the system does not say', () => {
    const missing = (): string => {
      throw new Error('ENOENT');
    };
    assert.equal(openFilesLimit(missing), undefined);
  });

  it('are needed for clients, logins, and the server connections that clients can use', (t) => {
    const general = 'max_client_connections = 200\nmax_login_connections = 30\nworkers = 2\ndefault_pool_size = 20';
    const users = '[[users]]\nname = "alice"\nall_databases = true\npassword = "secret"\n';
    assert.equal(openFilesNeeded(load(t, `[general]\n${general}\n${TWO_DATABASES}`, users)), 200 + 90 + 40 + 100);
    const many = 'pool_size = 500\n';
    assert.equal(
      openFilesNeeded(load(t, `[general]\n${general}\n${TWO_DATABASES}${many}`, users)),
      200 + 90 + 200 + 100,
    );
  });
});
