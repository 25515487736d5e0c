import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { differences, keepingWhatNeedsRestart } from '../../src/config/differences.ts';
import { DATABASE, load } from './config-files.ts';

describe('differences', () => {
  it('names the keys that a reload cannot change', (t) => {
    const before = load(t, DATABASE);
    const after = load(
      t,
      `[general]
      host = "0.0.0.0"
      port = 7000
      unix_socket_dir = "/tmp"
      workers = 2
      reuse_port = true
      http_host = "::1"
      http_port = 9000
      [admin]
      name = "ops"
      user = "root"
      password = "x"
      ${DATABASE}`,
    );
    const needsRestart = [
      'general.host',
      'general.port',
      'general.unix_socket_dir',
      'general.workers',
      'general.reuse_port',
      'general.http_host',
      'general.http_port',
      'admin.name',
      'admin.user',
      'admin.password',
    ];
    assert.deepEqual(differences(before, after), { needsRestart });
    assert.deepEqual(differences(after, before), { needsRestart });
    const kept = keepingWhatNeedsRestart(before, after);
    assert.deepEqual(differences(before, kept), { needsRestart: [] });
    assert.deepEqual(kept.databases, after.databases);
  });

  it('names nothing when only reloadable keys changed', (t) => {
    const after = load(t, `[general]\nlog_level = "debug"\nmirror_exposure = 0.5\n${DATABASE}pool_size = 3`);
    assert.deepEqual(differences(load(t, DATABASE), after), { needsRestart: [] });
  });

  it('does not take a default that is spelt out for a change', (t) => {
    const after = load(t, `[general]\nport = 6432\n[admin]\nname = "pgmirror"\n${DATABASE}`);
    assert.deepEqual(differences(load(t, DATABASE), after), { needsRestart: [] });
  });
});
