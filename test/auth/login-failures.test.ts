import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { LoginFailures } from '../../src/auth/login-failures.ts';

function fails(failures: LoginFailures, address: string, times: number): boolean[] {
  return Array.from({ length: times }, () => failures.failed(address));
}

describe('LoginFailures', () => {
  it('refuses an address after so many failures, and says when that began', () => {
    const failures = new LoginFailures(3, () => 0);
    assert.deepEqual(fails(failures, '192.0.2.1', 2), [false, false]);
    assert.equal(failures.refuses('192.0.2.1'), false);
    assert.deepEqual(fails(failures, '192.0.2.1', 2), [true, false]);
    assert.equal(failures.refuses('192.0.2.1'), true);
    assert.equal(failures.refuses('192.0.2.2'), false);
  });

  it('lets as many a minute try as the limit is, evenly', () => {
    let now = 0;
    const failures = new LoginFailures(6, () => now);
    fails(failures, '192.0.2.1', 6);
    now = 9_999;
    assert.equal(failures.refuses('192.0.2.1'), true);
    now = 10_001;
    assert.equal(failures.refuses('192.0.2.1'), false);
    assert.equal(failures.failed('192.0.2.1'), true);
    assert.equal(failures.refuses('192.0.2.1'), true);
    now = 200_000;
    assert.deepEqual(fails(failures, '192.0.2.1', 6), [false, false, false, false, false, true]);
  });

  it('does not count without a limit, and takes a new limit over', () => {
    const failures = new LoginFailures(0, () => 0);
    fails(failures, '192.0.2.1', 100);
    assert.equal(failures.refuses('192.0.2.1'), false);
    failures.limit = 1;
    fails(failures, '192.0.2.1', 1);
    assert.equal(failures.refuses('192.0.2.1'), true);
    failures.limit = 0;
    assert.equal(failures.refuses('192.0.2.1'), false);
  });

  it('counts an IPv4 address in both spellings, and an IPv6 network, as one', () => {
    const failures = new LoginFailures(1, () => 0);
    failures.failed('::ffff:192.0.2.1');
    assert.equal(failures.refuses('192.0.2.1'), true);
    failures.failed('2001:db8:0:1::1');
    assert.equal(failures.refuses('2001:db8::1:ffff:0:0:2'), true);
    assert.equal(failures.refuses('2001:0DB8:0000:0001:2:3:4:5'), true);
    assert.equal(failures.refuses('2001:db8:0:2::1'), false);
    failures.failed('fe80::1%eth0');
    assert.equal(failures.refuses('fe80::2%eth1'), true);
    failures.failed('::1');
    assert.equal(failures.refuses('::1'), true);
    assert.equal(failures.refuses('1::'), false);
  });

  it('remembers a bounded number of addresses, the latest', () => {
    const failures = new LoginFailures(1, () => 0);
    for (let i = 0; i <= 10_000; i++) failures.failed(`10.0.${i >> 8}.${i & 255}`);
    assert.equal(failures.refuses('10.0.0.0'), false);
    assert.equal(failures.refuses('10.0.0.1'), true);
    assert.equal(failures.refuses('10.0.39.16'), true);
  });
});
