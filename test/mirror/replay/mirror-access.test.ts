import assert from 'node:assert/strict';
import { it, type TestContext } from 'node:test';
import { MirrorAccess } from '../../../src/mirror/replay/mirror-access.ts';
import { monotonicNow } from '../../../src/util/clock.ts';

interface StartedAccess {
  readonly access: MirrorAccess;
  readonly probes: () => number;
  /** What is against the mirror. */
  readonly objections: string[];
  /** What its owner was asked for, in order. */
  readonly asked: string[];
}

/** The access to a mirror that lets everybody in; probes are counted, and answered by the test. */
async function startAccess(test: TestContext): Promise<StartedAccess> {
  test.mock.timers.enable({ apis: ['setTimeout'] });
  let probes = 0;
  const objections: string[] = [];
  const asked: string[] = [];
  const access = new MirrorAccess(
    {
      objections: async () => {
        asked.push('look');
        return Promise.resolve([...objections]);
      },
      probe: () => void probes++,
      lost: () => asked.push('lost'),
      refused: () => asked.push('refused'),
      changed: () => undefined,
    },
    true,
  );
  test.after(() => access.stop());
  await access.look();
  assert.equal(access.state, 'up');
  return { access, probes: () => probes, objections, asked };
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

it('a mirror is looked at once, and again before a connection is opened where one was lost or none could be', async (test) => {
  const { access, asked } = await startAccess(test);
  assert.deepEqual([await access.mayConnect(), await access.mayConnect(), asked], [true, true, ['look']]);
  access.connectionLost('closed', true);
  assert.deepEqual([access.isPassed, await access.mayConnect(), access.isPassed], [false, true, true]);
  access.failed('refused');
  assert.deepEqual([access.isPassed, await access.mayConnect(), access.isPassed], [false, true, true]);
  access.moved();
  assert.deepEqual([access.isPassed, access.isOff, await access.mayConnect()], [false, true, true]);
  assert.deepEqual(asked, ['look', 'look', 'lost', 'look', 'look']);
});

it('a mirror that is gone is not probed, whatever comes of a look that was under way', async (test) => {
  test.mock.timers.enable({ apis: ['setTimeout'] });
  const asked: string[] = [];
  const looking = Promise.withResolvers<readonly string[]>();
  const access = new MirrorAccess(
    {
      objections: async () => looking.promise,
      probe: () => asked.push('probe'),
      lost: () => asked.push('lost'),
      refused: () => asked.push('refused'),
      changed: () => asked.push('changed'),
    },
    true,
  );
  const look = access.look();
  access.stop();
  looking.reject(new Error('no route'));
  await look;
  test.mock.timers.tick(60_000);
  assert.deepEqual(asked, []);
});

it('a mirror that was disabled still gets what is on its way', async (test) => {
  const { access } = await startAccess(test);
  access.isEnabled = false;
  assert.deepEqual([access.state, access.isOff], ['disabled', false]);
});

it('what waits is given up when a mirror is down, and what runs as well when it is refused', async (test) => {
  const { access, objections, asked } = await startAccess(test);
  access.failed('no route');
  assert.deepEqual([access.state, access.isGivenUp, asked], ['down', true, ['look', 'lost']]);
  access.connected();
  objections.push('it is the source', 'it is in recovery');
  access.connectionLost('closed', true);
  assert.equal(await access.mayConnect(), false);
  assert.deepEqual([access.state, access.reason], ['refused', 'it is the source; it is in recovery']);
  assert.deepEqual(asked, ['look', 'lost', 'look', 'refused']);
  access.isEnabled = false;
  assert.equal(access.state, 'disabled', 'whatever else there is to be said of it');
  await access.look();
  assert.equal(asked.length, 4, 'it is not looked at');
  access.isEnabled = true;
  objections.length = 0;
  await access.look();
  assert.deepEqual([access.state, access.reason], ['up', '']);
});
