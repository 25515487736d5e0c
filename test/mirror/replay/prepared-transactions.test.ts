import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { PreparedTransactions, Readiness } from '../../../src/mirror/replay/prepared-transactions.ts';

/** Two servers that say what is prepared there. */
class Servers {
  source: string[] = [];
  mirror: string[] = [];
  readonly rolledBack: string[] = [];
  readonly gone: string[] = [];

  preparedOnSource = async (): Promise<string[]> => Promise.resolve(this.source);
  preparedOnMirror = async (): Promise<string[]> => Promise.resolve(this.mirror);
  settled = (gid: string): void => void this.gone.push(gid);
  onMirror = async (_user: string, sql: string): Promise<void> => {
    this.rolledBack.push(sql);
    return Promise.resolve();
  };
}

describe('Prepared transactions of a mirror', () => {
  const now = 10_000;

  it('are ended when they are prepared, not before', () => {
    const servers = new Servers();
    const prepared = new PreparedTransactions(servers);
    prepared.comes('a', 'alice');
    assert.equal(prepared.readiness('a', now, now), Readiness.Wait);
    prepared.prepared('a', true, 'alice');
    assert.equal(prepared.readiness('a', now, now), Readiness.Ready);
    prepared.ended('a', true);
    assert.deepEqual(servers.gone, ['a']);
    assert.equal(prepared.size, 0);
  });

  it('are lost when they failed or were dropped; one never heard of may still come, for a second', () => {
    const prepared = new PreparedTransactions(new Servers());
    prepared.comes('a', 'alice');
    prepared.prepared('a', false, 'alice');
    assert.equal(prepared.readiness('a', now, now), Readiness.Lost);
    prepared.comes('b', 'alice');
    prepared.neverPrepared('b');
    assert.equal(prepared.readiness('b', now - 2_000, now), Readiness.Lost);
    assert.equal(prepared.readiness('c', now - 100, now), Readiness.Wait);
    assert.equal(prepared.readiness('c', now - 1_500, now), Readiness.Lost);
  });

  it('are not waited for when they were dropped, unless another one of the same name is under way', () => {
    const prepared = new PreparedTransactions(new Servers());
    prepared.comes('a', 'alice');
    prepared.neverPrepared('a');
    assert.equal(prepared.readiness('a', now, now), Readiness.Lost);
    prepared.comes('a', 'alice');
    assert.equal(prepared.readiness('a', now, now), Readiness.Wait);
    prepared.neverPrepared('b');
    assert.equal(prepared.readiness('b', now, now), Readiness.Lost);
    prepared.ended('b', false);
    assert.equal(prepared.readiness('b', now, now), Readiness.Wait);
  });

  it('are rolled back when nobody is going to end them', async () => {
    const servers = new Servers();
    servers.mirror = ['dropped', "it's unseen", 'alive', 'foreign'];
    servers.source = ['alive'];
    const prepared = new PreparedTransactions(servers);
    for (const gid of ['dropped', "it's unseen", 'alive', 'elsewhere']) {
      prepared.comes(gid, 'alice');
      prepared.prepared(gid, true, 'alice');
    }
    prepared.ended('dropped', false);
    await prepared.clean();
    assert.deepEqual(servers.rolledBack, [`ROLLBACK PREPARED 'dropped'`]);
    await prepared.clean(); // the second time that the source does not have it
    assert.deepEqual(servers.rolledBack.slice(1), [`ROLLBACK PREPARED 'it''s unseen'`]);
    assert.deepEqual(servers.gone, ['dropped', "it's unseen", 'elsewhere']);
    assert.equal(prepared.orphans, 2);
    assert.equal(prepared.size, 1, 'the one that the source has');
  });

  it('may be several under one name, one after the other', () => {
    const servers = new Servers();
    const prepared = new PreparedTransactions(servers);
    const states: Readiness[] = [];
    for (let round = 0; round < 3; round++) prepared.comes('a', 'alice');
    for (let round = 0; round < 2; round++) {
      states.push(prepared.readiness('a', now - 2_000, now));
      prepared.prepared('a', true, 'alice');
      states.push(prepared.readiness('a', now - 2_000, now));
      prepared.ended('a', true);
    }
    const { Wait, Ready, Lost } = Readiness;
    assert.deepEqual(states, [Wait, Ready, Wait, Ready]);
    prepared.neverPrepared('a');
    assert.equal(prepared.readiness('a', now - 2_000, now), Lost);
    assert.deepEqual([prepared.size, servers.gone], [0, ['a']]);
  });

  it('are ended although another one of the same name was dropped', () => {
    const prepared = new PreparedTransactions(new Servers());
    prepared.comes('a', 'alice');
    prepared.prepared('a', true, 'alice');
    prepared.comes('a', 'alice');
    prepared.neverPrepared('a');
    assert.equal(prepared.readiness('a', now - 2_000, now), Readiness.Ready);
  });

  it('are left alone while their second half is on its way', async () => {
    const servers = new Servers();
    servers.mirror = ['a'];
    const prepared = new PreparedTransactions(servers);
    prepared.remember('a', 'alice');
    prepared.ends('a');
    for (let round = 0; round < 3; round++) await prepared.clean();
    assert.deepEqual(servers.rolledBack, []);
  });
});
