import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { saslprep } from '../../src/auth/saslprep.ts';
import { contains, prohibited, unassigned } from '../../src/auth/saslprep-tables.ts';

function prepared(text: string): string {
  return saslprep(Buffer.from(text, 'utf8')).toString('utf8');
}

describe('saslprep', () => {
  it('follows the examples of RFC 4013, section 3', () => {
    assert.equal(prepared('I\u00adX'), 'IX');
    assert.equal(prepared('user'), 'user');
    assert.equal(prepared('USER'), 'USER');
    assert.equal(prepared('\u00aa'), 'a');
    assert.equal(prepared('\u2168'), 'IX');
  });

  it('keeps what the RFC prohibits as it came, as PostgreSQL does', () => {
    assert.equal(prepared('\u0007'), '\u0007');
    assert.equal(prepared('\u0627\u0031'), '\u0627\u0031');
    assert.equal(prepared('\u2168\u0007'), '\u2168\u0007');
    assert.equal(prepared('\u2168\ue000'), '\u2168\ue000');
  });

  it('makes every space a plain one and drops what is mapped to nothing', () => {
    assert.equal(prepared('a\u00a0b\u3000c\u200bd\ufeff\ufe0f'), 'a b c d');
  });

  it('keeps a password of which nothing would be left', () => {
    assert.equal(prepared('\u00ad\ufeff'), '\u00ad\ufeff');
  });

  it('keeps characters that Unicode 3.2 does not have', () => {
    assert.equal(prepared('\u2168\u0378'), '\u2168\u0378');
    assert.equal(prepared('\u2168😀'), '\u2168😀');
  });

  it('normalizes right-to-left text that keeps to the bidirectional rules', () => {
    assert.equal(prepared('\ufb21\u0031\ufb21'), '\u05d01\u05d0');
    assert.equal(prepared('\ufb21a\ufb21'), '\ufb21a\ufb21');
    assert.equal(prepared('1\ufb21'), '1\ufb21');
    assert.equal(prepared('\ufb211'), '\ufb211');
  });

  it('keeps bytes that are not UTF-8', () => {
    for (const bytes of [
      [0xff, 0xc2, 0xaa],
      [0xed, 0xa0, 0x80],
      [0xc2, 0xaa, 0xc0, 0x80],
    ]) {
      assert.deepEqual(saslprep(Buffer.from(bytes)), Buffer.from(bytes));
    }
  });

  it('composes in normalization form KC', () => {
    assert.equal(prepared('e\u0301'), 'é');
    assert.equal(prepared('\ufb01'), 'fi');
  });

  it('keeps as it came what has more marks in a row than a text has, which would take long to put in order', () => {
    for (const marks of ['\u0301\u0323', '\u0301\uff9e']) {
      const usual = `a${marks.repeat(50)}b${marks.repeat(50)}`;
      assert.equal(prepared(usual), usual.normalize('NFKC'));
      assert.notEqual(prepared(usual), usual);
      const endless = `${usual}${marks}`;
      assert.equal(prepared(endless), endless);
    }
  });

  it('finds the first and last code point of each range, and none beside', () => {
    assert.deepEqual(
      [0x220, 0x221, 0x222, 0x233, 0x234, 0x24f, 0x250].map((codePoint) => contains(unassigned, codePoint)),
      [false, true, false, false, true, true, false],
    );
    assert.deepEqual(
      [0, 0x1f, 0x20, 0xeffff, 0x10ffff].map((codePoint) => contains(prohibited, codePoint)),
      [true, true, false, true, true],
    );
  });
});
