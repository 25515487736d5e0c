import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import type { MirrorTargetStatus } from '../../src/mirror/replay/mirror-process-messages.ts';
import { CounterBook } from '../../src/supervisor/counter-book.ts';
import type { MirrorChild } from '../../src/supervisor/mirror-child.ts';
import { MirrorIds } from '../../src/supervisor/mirrors.ts';
import { TrafficView } from '../../src/supervisor/traffic-view.ts';
import { load } from '../config/config-files.ts';

const config = (mirrorPort: number): string => `
[[databases]]
name = "app"
host = "127.0.0.1"
port = 1
[[databases]]
name = "app_new"
host = "127.0.0.1"
port = ${mirrorPort}
[[mirroring]]
source_db = "app"
destination_db = "app_new"
`;

describe('what /readyz tells of mirrors', () => {
  it('is which are refused, and why, as they are configured now', async (t) => {
    const [before, after] = [load(t, config(1)), load(t, config(2))];
    let current = before;
    const ids = new MirrorIds();
    let told: Partial<MirrorTargetStatus>[] | undefined;
    const status = (): Promise<typeof told> => Promise.resolve(told);
    const view = new TrafficView({
      version: '1',
      ids,
      counters: new CounterBook(),
      overrides: { generalExposure: undefined, exposures: new Map(), disabled: new Set() },
      config: () => current,
      mirrorChild: () => ({ status }) as unknown as MirrorChild,
      snapshots: () => Promise.resolve([]),
      state: () => 'running',
    });
    const refused = async (): Promise<unknown> => (await view.readiness()).refused;
    const idOf = (): number => ids.idOf(current.mirroring[0]!, current);

    told = [{ id: idOf(), state: 'refused', reason: 'it is the source' }];
    assert.deepEqual(await refused(), { app_new: 'it is the source' });
    told = undefined;
    assert.deepEqual(
      await refused(),
      { app_new: 'it is the source' },
      'what was told last, while there is nobody to ask',
    );
    current = after;
    told = [{ id: idOf(), state: 'up', reason: '' }];
    assert.deepEqual(await refused(), {}, 'another place is another mirror');
  });
});
