import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { StatementText } from '../../src/pooler/session-link.ts';
import { UnnamedStatement } from '../../src/pooler/unnamed-statement.ts';
import { ServerSession } from '../../src/session/server-session.ts';

const text = (sql: string): StatementText => new StatementText(Buffer.from(`${sql}\0`), 0, sql.length + 1);
const [one, two] = [text('select 1'), text('select 2')];

describe("a client's unnamed statement", () => {
  it('is what was parsed last, confirmed or not, until that is skipped', () => {
    const unnamed = new UnnamedStatement();
    assert.deepEqual([unnamed.latest, unnamed.latestRequest], [undefined, 0]);
    unnamed.changing(one, 1, 1);
    unnamed.changing(two, 2, 2);
    assert.deepEqual([unnamed.latest, unnamed.latestRequest, unnamed.confirmed], [two, 2, undefined]);
    unnamed.changed();
    assert.equal(unnamed.confirmed, one);
    unnamed.skipped();
    assert.deepEqual([unnamed.latest, unnamed.latestRequest], [one, 1]);
  });

  it('is none when a Parse of it is refused, when it is closed, and after a simple query', () => {
    const unnamed = new UnnamedStatement();
    for (const end of [
      () => {
        unnamed.changing(two, 2, 2);
        unnamed.refused();
      },
      () => {
        unnamed.changing(undefined, 2, 2);
        unnamed.changed();
      },
      () => unnamed.destroyed(),
    ]) {
      unnamed.changing(one, 1, 1);
      unnamed.changed();
      assert.equal(unnamed.latest, one);
      end();
      assert.equal(unnamed.latest, undefined);
    }
  });

  it('is on a server that has it from this client; in another segment than its Parse nobody knows before the answer', () => {
    const [server, owner] = [new ServerSession(new Map()), {}];
    const unnamed = new UnnamedStatement();
    server.unnamedOwner = {};
    assert.equal(unnamed.isOn(server, owner, 1), false);
    unnamed.changing(one, 1, 1);
    assert.deepEqual([unnamed.isOn(server, owner, 1), unnamed.isOn(server, owner, 2)], [true, 'unknown']);
    unnamed.changed();
    server.unnamedOwner = owner;
    assert.equal(unnamed.isOn(server, owner, 2), true);
  });
});
