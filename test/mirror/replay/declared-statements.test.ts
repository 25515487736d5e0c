import assert from 'node:assert/strict';
import { it } from 'node:test';
import { DeclaredStatements } from '../../../src/mirror/replay/declared-statements.ts';
import { StatementRegistry } from '../../../src/mirror/replay/statement-registry.ts';

const ONE = Buffer.from('SELECT 1\0\0\0');
const TWO = Buffer.from('SELECT 2\0\0\0');

it('a forgotten statement stays known by its name while transactions from before are on their way', () => {
  const declared = new DeclaredStatements(new StatementRegistry());
  declared.declare(1, 'a', ONE);
  const before = declared.arrived(2);
  declared.forget(1);
  assert.equal(declared.get(1), undefined);
  assert.ok(declared.named('a'));
  const then = declared.arrived(1);
  declared.finished(before);
  assert.ok(declared.named('a'));
  declared.finished(before);
  assert.equal(declared.named('a'), undefined);
  declared.finished(then);
});

it('what is forgotten while others are waited for is forgotten after those that came meanwhile', () => {
  const declared = new DeclaredStatements(new StatementRegistry());
  declared.declare(1, 'a', ONE);
  declared.declare(2, 'b', TWO);
  const first = declared.arrived(1);
  declared.forget(1);
  const second = declared.arrived(1);
  declared.forget(2);
  declared.finished(first);
  assert.equal(declared.named('a'), undefined);
  assert.ok(declared.named('b'));
  declared.finished(second);
  assert.equal(declared.named('b'), undefined);
});

it('a statement that is declared again stays, and is the same object', () => {
  const declared = new DeclaredStatements(new StatementRegistry());
  declared.declare(1, 'a', ONE);
  const statement = declared.named('a');
  declared.declare(1, 'a', ONE);
  assert.equal(declared.named('a'), statement);
  const epoch = declared.arrived(1);
  declared.forget(1);
  declared.declare(7, 'a', ONE);
  declared.finished(epoch);
  assert.equal(declared.named('a'), statement);
  declared.declare(7, 'a', TWO);
  assert.equal(declared.named('a')?.text, 'SELECT 2');
  declared.forget(7);
  assert.equal(declared.named('a'), undefined);
});

it('threads that mean the same share a statement, and a thread that ends takes only its own part', () => {
  const registry = new StatementRegistry();
  const [one, other] = [new DeclaredStatements(registry), new DeclaredStatements(registry)];
  one.declare(1, 'a', ONE);
  other.declare(5, 'a', ONE);
  const statement = one.named('a');
  assert.equal(other.named('a'), statement);
  one.close();
  assert.equal(registry.acquire('a', ONE), statement);
});
