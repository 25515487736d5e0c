import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { SafetyGate } from '../../../src/mirror/replay/safety-gate.ts';

describe('A mirror is looked at', () => {
  it('once, however many ask, and not again as long as nothing was against it', async () => {
    let looks = 0;
    const gate = new SafetyGate(async () => Promise.resolve(looks++ < 0 ? ['no'] : []));
    assert.deepEqual(await Promise.all([gate.objections(), gate.objections()]), [[], []]);
    assert.deepEqual(await gate.objections(), []);
    assert.equal(looks, 1);
    assert.ok(gate.isPassed);
  });

  it('each time where something was, or it could not be found out', async () => {
    const answers = [Promise.reject(new Error('no route')), Promise.resolve(['it is a standby']), Promise.resolve([])];
    const gate = new SafetyGate(async () => answers.shift() ?? []);
    await assert.rejects(gate.objections(), /no route/);
    assert.deepEqual(await gate.objections(), ['it is a standby']);
    assert.ok(!gate.isPassed);
    assert.deepEqual(await gate.objections(), []);
  });

  it('again after it was forgotten, also by those who wait for an earlier look', async () => {
    const looks: PromiseWithResolvers<string[]>[] = [];
    const gate = new SafetyGate(async () => {
      const look = Promise.withResolvers<string[]>();
      looks.push(look);
      return look.promise;
    });
    const asked = gate.objections();
    gate.forget();
    looks[0]?.resolve([]);
    await new Promise((resolve) => setImmediate(resolve));
    assert.ok(!gate.isPassed);
    looks[1]?.resolve(['it is the same database']);
    assert.deepEqual(await asked, ['it is the same database']);
  });
});
