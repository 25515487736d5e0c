import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { noStatistics } from '../../src/pool/pool-statistics.ts';
import { DatabaseStatistics } from '../../src/pooler/database-statistics.ts';

const poolOf = (database: string, connections: readonly unknown[] = []) => ({
  database,
  pool: { statistics: noStatistics(), connections: new Set(connections) },
});

describe('the statistics of a database', () => {
  it('are those of its pools, also of one that was given up and still serves somebody', () => {
    const [one, other, elsewhere] = [poolOf('app', ['a connection']), poolOf('app'), poolOf('other')];
    const statistics = new DatabaseStatistics();
    const requests = (living: readonly (typeof one)[]): number | undefined =>
      statistics.with(living).get('app')?.requests;
    one.pool.statistics.requests = 3;
    other.pool.statistics.requests = 4;
    elsewhere.pool.statistics.requests = 9;
    assert.equal(requests([one, other, elsewhere]), 7);
    statistics.gaveUp(one);
    statistics.gaveUp(other);
    assert.equal(requests([elsewhere]), 7);
    one.pool.statistics.requests++;
    assert.equal(requests([elsewhere]), 8);
    one.pool.connections.clear();
    statistics.gaveUp(elsewhere);
    assert.equal(requests([poolOf('app')]), 8);
  });
});
