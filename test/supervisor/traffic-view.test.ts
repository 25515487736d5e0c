import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import type { QueryReport } from '../../src/mirror/report/query-report.ts';
import type { MirrorTargetStatus } from '../../src/mirror/replay/mirror-process-messages.ts';
import type { Config } from '../../src/config/config.ts';
import { CounterBook } from '../../src/supervisor/counter-book.ts';
import type { MirrorChild } from '../../src/supervisor/mirror-child.ts';
import { MirrorIds } from '../../src/supervisor/mirrors.ts';
import { TrafficView } from '../../src/supervisor/traffic-view.ts';
import { load } from '../config/config-files.ts';
import { within } from '../support/eventually.ts';

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

function viewOf(current: () => Config, mirrorChild: MirrorChild, ids = new MirrorIds()): TrafficView {
  return new TrafficView({
    version: '1',
    ids,
    counters: new CounterBook(),
    overrides: { exposures: new Map(), disabled: new Set() },
    config: current,
    mirrorChild: () => mirrorChild,
    snapshots: () => Promise.resolve([]),
    state: () => 'running',
  });
}

describe('what /readyz tells of mirrors', () => {
  it('is which are refused, and why, as they are configured now', async (t) => {
    const [before, after] = [load(t, config(1)), load(t, config(2))];
    let current = before;
    const ids = new MirrorIds();
    let told: Partial<MirrorTargetStatus>[] | undefined;
    const status = (): Promise<typeof told> => Promise.resolve(told);
    const view = viewOf(() => current, { status } as unknown as MirrorChild, ids);
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

describe('an answer of /readyz', () => {
  it('does not wait for a mirror process that hangs', async (t) => {
    const current = load(t, config(1));
    const never = new Promise<undefined>(() => undefined);
    const view = viewOf(() => current, { status: () => never } as unknown as MirrorChild);
    const { refused } = await within(view.readiness(), 5_000, 'the answer');
    assert.deepEqual(refused, {});
  });
});

describe('what /queries tells while there is no mirror process to ask', () => {
  it('is what was told last, as far as it may be shown by now', async (t) => {
    const permitting = (statements: string): Config =>
      load(t, `[general]\nlog_statements = "${statements}"\n${config(1)}`);
    let current = permitting('full');
    const example = { at: '', source: '1 row', mirror: '2 rows', text: "SELECT 'secret'" };
    const row = { query: 'SELECT $1', examples: { row_count: [example] } } as unknown as QueryReport;
    let told: QueryReport[] | undefined = [row];
    const view = viewOf(() => current, { queries: () => Promise.resolve(told) } as unknown as MirrorChild);
    assert.deepEqual(await view.queries(), [row]);
    told = undefined;
    assert.deepEqual(await view.queries(), [row]);
    current = permitting('none');
    const without = { at: '', source: '1 row', mirror: '2 rows' };
    assert.deepEqual(await view.queries(), [{ query: '', examples: { row_count: [without] } }]);
  });
});
