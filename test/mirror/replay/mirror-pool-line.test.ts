import assert from 'node:assert/strict';
import { it } from 'node:test';

import { Lane } from '../../../src/mirror/replay/lane.ts';
import { MirrorPool } from '../../../src/mirror/replay/mirror-pool.ts';
import type { PoolOwner } from '../../../src/mirror/replay/mirror-pool.ts';

const nothing = (): void => undefined;
const owner: PoolOwner = {
  replayOptions: {
    timeoutMs: 1_000,
    timing: 'none',
    fixedSettings: new Map(),
  } as unknown as PoolOwner['replayOptions'],
  access: { isOnTrial: false },
  open: nothing,
  timed: nothing,
  requestAnswered: nothing,
  finished: nothing,
  used: nothing,
  review: () => true,
};

it('a lane that ends what is prepared stands before the others, also where that shows when it stands in line', () => {
  const pool = new MirrorPool(owner, {} as MirrorPool['login'], { size: 1, pinnedSize: 1 });
  const [first, second, third, fourth] = ['a', 'b', 'c', 'd'].map((user) => new Lane(user, pool)) as [
    Lane,
    Lane,
    Lane,
    Lane,
  ];
  second.endings.push('one');
  for (const lane of [first, second, third, fourth]) pool.enqueue(lane);
  third.endings.push('another');
  for (const lane of [first, second, third]) pool.hasten(lane);
  pool.reviewWaiting();
  assert.deepEqual(
    pool.takeWaiting().map(({ user }) => user),
    ['b', 'c', 'a', 'd'],
  );
  assert.ok([first, second, third, fourth].every(({ isWaiting }) => !isWaiting));
});
