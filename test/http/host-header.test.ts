import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { hostname } from 'node:os';
import { isOwnHost } from '../../src/http/host-header.ts';

describe('isOwnHost', () => {
  for (const own of [
    '127.0.0.1:9090',
    '[::1]:9090',
    '[::1]',
    'localhost',
    'LOCALHOST:80',
    'pgmirror:9090',
    'a.localhost',
  ]) {
    it(`takes ${own}`, () => assert.ok(isOwnHost(own, '127.0.0.1')));
  }
  for (const foreign of [
    'evil.example',
    'localhost.evil.example:9090',
    '127.0.0.1.evil.example',
    '',
    'a b',
    'x:y',
    '[::1',
  ]) {
    it(`refuses ${JSON.stringify(foreign)}`, () => assert.ok(!isOwnHost(foreign, '127.0.0.1')));
  }

  it('takes the configured name and the machine’s own, and refuses where there is none', () => {
    assert.ok(isOwnHost('metrics.example.com:9090', 'metrics.example.com'));
    assert.ok(isOwnHost(hostname(), '127.0.0.1'));
    assert.ok(!isOwnHost(undefined, '127.0.0.1'));
  });
});
