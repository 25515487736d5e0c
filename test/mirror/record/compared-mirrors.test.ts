import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { Change } from '../../../src/mirror/record/change-notes.ts';
import { ComparedMirrors } from '../../../src/mirror/record/compared-mirrors.ts';
import { MirrorLink } from '../../../src/mirror/record/mirror-link.ts';
import type { Cleanup } from '../../support/cleanup.ts';
import { eventually } from '../../support/eventually.ts';
import { FakeMirrorProcess } from './recording-bench.ts';

const compared = (id: number) => ({ id, source: 'shop', enabled: true, compareSample: 1 });

describe('What compared mirrors miss', () => {
  async function start(t: Cleanup) {
    const mirror = await FakeMirrorProcess.start(t);
    const link: MirrorLink = new MirrorLink(7, {
      acknowledged: () => undefined,
      targetState: () => undefined,
      connected: () => mirrors.connected(),
      closed: () => undefined,
    });
    const mirrors = new ComparedMirrors({ link, random: () => 0, sequence: () => 0 });
    mirrors.configure([1, 2].map(compared));
    t.after(() => {
      mirrors.close();
      link.close();
    });
    const missed = (): string[] => mirror.told.filter((told) => told.startsWith('missed'));
    return { mirror, link, mirrors, missed };
  }

  it('before the first mirror process is there is told to it', async (t) => {
    const { mirror, link, mirrors, missed } = await start(t);
    mirrors.missed(compared(2), Change.Nothing);
    mirrors.missed(compared(1), Change.Definitions);
    mirrors.missed(compared(1), Change.Rows);
    link.connect(mirror.path);
    await eventually(() => missed().length > 0, { intervalMs: 2 });
    mirrors.missed(compared(2), Change.Rows);
    await eventually(() => missed().length > 1, { intervalMs: 2 });
    assert.deepEqual(missed(), ['missed 1 3', 'missed 2 2']);
  });

  it('between one mirror process and the next may be anything', async (t) => {
    const { mirror, link, mirrors, missed } = await start(t);
    link.connect(mirror.path);
    await eventually(() => link.connected, { intervalMs: 2 });
    mirrors.missed(compared(1), Change.Rows);
    link.flush();
    link.connect(mirror.path);
    await eventually(() => missed().length > 2, { intervalMs: 2 });
    assert.deepEqual(missed(), ['missed 1 2', 'missed 1 3', 'missed 2 3']);
  });
});
