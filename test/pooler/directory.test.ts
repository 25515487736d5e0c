import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import type { PoolerOptions } from '../../src/pooler/pooler-options.ts';
import { Directory } from '../../src/pooler/directory.ts';

/** Users of one database, with these passwords. */
function optionsOf(passwords: Readonly<Record<string, string>>): PoolerOptions {
  const users = Object.entries(passwords).map(([name, password]) => ({
    name,
    routes: [{ database: 'app', password }],
  }));
  return { users, databases: [{ name: 'app' }], admin: { hashes: undefined } } as unknown as PoolerOptions;
}

describe('a directory after a reload', () => {
  it('derives anew only what has changed: keys take their time', async () => {
    const secret = Buffer.alloc(32, 7);
    const before = await Directory.derive(optionsOf({ anna: 'one', bert: 'two' }), secret);
    const after = await Directory.derive(optionsOf({ anna: 'one', bert: 'three', carl: 'one' }), secret, before);
    const [anna, bert, carl] = ['anna', 'bert', 'carl'].map((name) => ({
      before: before.find(name, 'app')?.secret,
      after: after.find(name, 'app')?.secret,
    }));
    assert.ok(anna?.before !== undefined && anna.before === anna.after);
    assert.ok(bert?.before !== undefined && bert.after !== undefined && bert.before !== bert.after);
    assert.ok(carl?.before === undefined && carl?.after !== undefined && carl.after !== anna.after);
  });
});
