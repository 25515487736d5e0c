import assert from 'node:assert/strict';
import { before, describe, it } from 'node:test';
import { QueryIdentifier } from '../../../src/mirror/report/query-identifier.ts';

describe('QueryIdentifier', () => {
  let identifier: QueryIdentifier;

  before(async () => {
    identifier = await QueryIdentifier.load();
  });

  const textOf = (sql: string): string => identifier.identify(Buffer.from(sql).toString('latin1')).text;

  it('gives texts that differ in literals, comments and space one fingerprint, and shows none of them', () => {
    const one = identifier.identify("SELECT * FROM t WHERE a = 1 AND b = 'x'");
    const other = identifier.identify("select /* who */ *\n  FROM t -- what\n WHERE a = 22 AND b = E'y'");
    assert.equal(one.fingerprint, other.fingerprint);
    assert.match(one.fingerprint, /^[0-9a-f]{16}$/);
    assert.equal(one.text, 'SELECT * FROM t WHERE a = $1 AND b = $2');
    assert.equal(identifier.identify("SELECT * FROM t WHERE a = 3 AND b = 'z'"), one);
  });

  it('takes out literals that the parser leaves', () => {
    assert.equal(textOf("COMMENT ON TABLE t IS 'secret'"), 'COMMENT ON TABLE t IS $1');
    assert.equal(textOf("PREPARE TRANSACTION 'secret'"), 'PREPARE TRANSACTION $1');
    assert.equal(textOf("CREATE USER u PASSWORD 'secret'"), 'CREATE USER u PASSWORD $1');
    assert.equal(textOf('DO $x$ secret $x$'), 'DO $1');
    assert.equal(textOf("SELECT $1::int, U&'sec\\0072et', B'101', 0x10"), 'SELECT $1::int, $2, $3, $4');
  });

  it('groups by its own hash what the parser does not understand, still without literals', () => {
    const broken = identifier.identify("SELEC 'secret' FROM t");
    assert.equal(broken.text, 'SELEC $1 FROM t');
    assert.equal(broken.isParsed, false);
    assert.match(broken.fingerprint, /^[0-9a-f]{16}$/);
    assert.equal(identifier.identify("SELEC 'other' FROM t").fingerprint, broken.fingerprint);
    assert.notEqual(identifier.identify('SELEC 1 FROM u').fingerprint, broken.fingerprint);
    assert.equal(textOf("SELECT 'secret and no end"), 'SELECT $1');
    assert.equal(textOf(''), '');
    assert.equal(textOf(';'), ';');
  });

  it('keeps to its bounds with a text of ten megabytes', () => {
    const begun = process.cpuUsage();
    const identity = identifier.identify(`INSERT INTO t VALUES ${"(1, 'secret'), ".repeat(700_000)}(0, '')`);
    const { user, system } = process.cpuUsage(begun);
    assert.ok(user + system < 5_000_000, `${user + system} µs of processor time`);
    assert.ok(identity.text.length <= 4_097, `${identity.text.length}`);
    assert.ok(identity.text.endsWith('…'));
    assert.doesNotMatch(identity.text, /secret/);
    assert.equal(identity.isParsed, false);
  });

  it('takes text in UTF-8, and bytes that are none', () => {
    assert.equal(textOf('SELECT "größe" FROM "表"'), 'SELECT "größe" FROM "表"');
    assert.equal(identifier.identify('SELECT "a\xff" FROM t').text, 'SELECT "a\ufffd" FROM t');
  });

  it('survives what nests too deep for the parser, and goes on', () => {
    assert.match(textOf(`SELECT 1${'+1'.repeat(8_000)}`), /^SELECT \$1\+\$2/);
    assert.match(textOf(`SELECT ${'(SELECT '.repeat(1_500)}1${')'.repeat(1_500)}`), /^SELECT \(SELECT/);
    assert.equal(textOf('SELECT 1 FROM t'), 'SELECT $1 FROM t');
  });

  it('follows standard_conforming_strings', () => {
    const text = String.raw`SELECT 'it\'s secret' FROM t`;
    assert.equal(identifier.identify(text, false).text, 'SELECT $1 FROM t');
  });

  it('remembers shapes within bounds', () => {
    for (let n = 0; n < 12_000; n++) identifier.identify(`bad c${n}`);
    assert.equal(textOf('SELECT 5 FROM t'), 'SELECT $1 FROM t');
  });
});
