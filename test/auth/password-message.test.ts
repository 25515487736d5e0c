import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { parsePasswordMessage, parseSaslInitialResponse, parseSaslResponse } from '../../src/auth/password-message.ts';
import { ProtocolError } from '../../src/protocol/protocol-error.ts';

function bytes(text: string): Buffer {
  return Buffer.from(text, 'latin1');
}

describe('a PasswordMessage', () => {
  it('is the password and one zero byte', () => {
    assert.deepEqual(parsePasswordMessage(bytes('p\0\0\0\x0bsecret\0')), bytes('secret'));
    assert.deepEqual(parsePasswordMessage(bytes('p\0\0\0\x05\0')), bytes(''));
  });

  it('is refused without its zero byte, or with a second one', () => {
    for (const message of ['p\0\0\0\x04', 'p\0\0\0\x0asecret', 'p\0\0\0\x0csec\0ret\0', 'p\0\0\0\x06\0\0']) {
      assert.throws(() => parsePasswordMessage(bytes(message)), ProtocolError, JSON.stringify(message));
    }
  });
});

describe('a SASLInitialResponse', () => {
  it('carries mechanism and response', () => {
    assert.deepEqual(parseSaslInitialResponse(bytes('p\0\0\0\x13SCRAM-X\0\0\0\0\x03n,,')), {
      mechanism: 'SCRAM-X',
      response: 'n,,',
    });
  });

  it('may carry no response, or an empty one', () => {
    assert.equal(parseSaslInitialResponse(bytes('p\0\0\0\x0aM\0\xff\xff\xff\xff')).response, undefined);
    assert.equal(parseSaslInitialResponse(bytes('p\0\0\0\x0aM\0\0\0\0\0')).response, '');
  });

  it('is refused when cut short, too long, or of another length than it says', () => {
    for (const message of [
      'p\0\0\0\x04',
      'p\0\0\0\x05M',
      'p\0\0\0\x06M\0',
      'p\0\0\0\x09M\0\0\0\0',
      'p\0\0\0\x0aM\0\0\0\0\x01',
      'p\0\0\0\x0bM\0\0\0\0\0x',
      'p\0\0\0\x0bM\0\xff\xff\xff\xffx',
      'p\0\0\0\x0bM\0\xff\xff\xff\xfex',
      'p\0\0\0\x0bM\0\x7f\xff\xff\xffx',
    ]) {
      assert.throws(() => parseSaslInitialResponse(bytes(message)), ProtocolError, JSON.stringify(message));
    }
  });
});

describe('a SASLResponse', () => {
  it('is its data, byte by byte', () => {
    assert.equal(parseSaslResponse(bytes('p\0\0\0\x07c=\xe9')), 'c=\xe9');
    assert.equal(parseSaslResponse(bytes('p\0\0\0\x04')), '');
  });
});
