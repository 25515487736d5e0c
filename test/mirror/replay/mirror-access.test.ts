import assert from 'node:assert/strict';
import { it, type TestContext } from 'node:test';
import { MirrorAccess } from '../../../src/mirror/replay/mirror-access.ts';
import { monotonicNow } from '../../../src/util/clock.ts';

/** The access to a mirror that lets everybody in; probes are counted, and answered by the test. */
async function startAccess(test: TestContext): Promise<{ access: MirrorAccess; probes: () => number }> {
  test.mock.timers.enable({ apis: ['setTimeout'] });
  let probes = 0;
  const access = new MirrorAccess(
    {
      objections: async () => [],
      probe: () => void probes++,
      lost: () => undefined,
      refused: () => undefined,
      changed: () => undefined,
    },
    true,
  );
  test.after(() => access.stop());
  await access.look();
  assert.equal(access.state, 'up');
  return { access, probes: () => probes };
}

it('a mirror is down when three connections in a row were good for nothing, not before', async (test) => {
  const { access } = await startAccess(test);
  const states = [1, 2, 3].map(() => {
    access.connectionLost('garbage', false);
    return access.state;
  });
  assert.deepEqual(states, ['up', 'up', 'down']);
  assert.equal(access.isOnTrial, false, 'it was never back');
});

it('a mirror that is back is down again with the first connection that is good for nothing', async (test) => {
  const { access, probes } = await startAccess(test);
  access.failed('refused');
  test.mock.timers.tick(1000);
  assert.equal(probes(), 1);
  access.connected();
  assert.deepEqual([access.state, access.isOnTrial], ['up', true]);
  access.connectionLost('garbage', false);
  assert.equal(access.state, 'down');
  test.mock.timers.tick(10_000);
  assert.equal(probes(), 2);
  access.connected();
  access.connectionUsed();
  access.connectionLost('garbage', false);
  assert.equal(access.state, 'up', 'one that was of use before has three attempts');
});

it('a trial ends with the first transaction that was finished, or after a second', async (test) => {
  const { access } = await startAccess(test);
  const comeBack = (): void => {
    access.failed('refused');
    access.connected();
  };
  comeBack();
  assert.equal(access.endTrial(monotonicNow()), false);
  access.connectionUsed();
  assert.equal(access.isOnTrial, true, 'until somebody looks, who opens what was held back');
  assert.equal(access.endTrial(monotonicNow()), true);
  assert.equal(access.isOnTrial, false);
  assert.equal(access.endTrial(monotonicNow()), false, 'it has ended once');
  comeBack();
  assert.equal(access.endTrial(Infinity), true);
});
