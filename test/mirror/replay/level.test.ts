import assert from 'node:assert/strict';
import { it } from 'node:test';
import { suitsLevel } from '../../../src/mirror/replay/level.ts';
import { Effect } from '../../../src/mirror/replay/statement-effects.ts';

it('a level takes what it says', () => {
  const taken = (effects: number): string =>
    (['all', 'read', 'write', 'dml', 'ddl'] as const).filter((level) => suitsLevel(level, effects)).join(' ');
  assert.equal(taken(Effect.None), 'all read dml');
  assert.equal(taken(Effect.Read), 'all read dml');
  assert.equal(taken(Effect.Read | Effect.Write), 'all write dml');
  assert.equal(taken(Effect.Ddl), 'all write ddl');
  assert.equal(taken(Effect.Ddl | Effect.Read), 'all write');
});
