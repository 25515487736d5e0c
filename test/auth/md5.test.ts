import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { isMd5Hash, md5Hash, md5Response } from '../../src/auth/md5.ts';

describe('MD5 passwords', () => {
  it('are hashed as PostgreSQL stores them', () => {
    // pg_authid.rolpassword of role "old" with password "pencil", PostgreSQL 15.
    assert.equal(md5Hash('pencil', 'old'), 'md5b15721e6326bc6e9a7c72a38963ec03d');
  });

  it('answer a salt with the hash of the hash', () => {
    // printf 'b15721e6326bc6e9a7c72a38963ec03d\001\002\003\377' | md5sum
    const response = md5Response('md5b15721e6326bc6e9a7c72a38963ec03d', Buffer.from([1, 2, 3, 0xff]));
    assert.equal(response, 'md5916a0152ee1580e8c846d2a16c88beab');
  });

  it('are recognized by their exact form', () => {
    assert.ok(isMd5Hash('md5b15721e6326bc6e9a7c72a38963ec03d'));
    for (const stored of ['', 'md5', 'md5B15721E6326BC6E9A7C72A38963EC03D', 'md5b15721e6326bc6e9a7c72a38963ec03d\n']) {
      assert.ok(!isMd5Hash(stored), stored);
    }
  });
});
