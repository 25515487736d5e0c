import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import type { TestContext } from 'node:test';
import { MirrorLink } from '../../../src/mirror/record/mirror-link.ts';
import { eventually } from '../../support/eventually.ts';
import { FakeMirrorProcess } from './recording-bench.ts';

function linkFor(t: TestContext) {
  const told: string[] = [];
  const link = new MirrorLink(7, {
    acknowledged: (slot, target, outcome, reason, sqlstates) =>
      void told.push(`acknowledged ${slot} ${target} ${outcome} ${reason} ${sqlstates.join()}`),
    targetState: (target, state) => void told.push(`target ${target} ${state}`),
    closed: () => void told.push('closed'),
  });
  t.after(() => link.connect(undefined));
  return { link, told };
}

/** A transaction without requests, for those who only want to see it come. */
const TRANSACTION = {
  slot: 5,
  client: 1,
  settings: 0,
  unnamedStatement: 0,
  flags: 0,
  startedAt: 0,
  endedAt: 0,
  targets: [1],
  requestCount: 0,
};

describe('the link to the mirror process', () => {
  it('says who it is when it is connected', async (t) => {
    const mirror = await FakeMirrorProcess.start(t);
    const { link } = linkFor(t);
    assert.deepEqual([link.connected, link.incarnation], [false, 0]);
    link.connect(mirror.path);
    assert.equal(link.connected, false);
    await eventually(() => mirror.told.length > 0, { intervalMs: 2 });
    assert.deepEqual([mirror.told, link.connected, link.incarnation], [['hello 5 7'], true, 1]);
  });

  it('sends what is written in one batch, a moment later or when it is told', async (t) => {
    const mirror = await FakeMirrorProcess.start(t);
    const { link } = linkFor(t);
    link.connect(mirror.path);
    await eventually(() => link.connected, { intervalMs: 2 });
    link.writer.client(1, 'shop', 'anna');
    link.writer.transaction(TRANSACTION, Buffer.alloc(0));
    link.flushSoon();
    link.flushSoon();
    await mirror.received(1);
    link.writer.clientGone(1);
    link.flush();
    assert.equal(link.writer.length, 0);
    await eventually(() => mirror.told.at(-1) === 'client gone 1', { intervalMs: 2 });
  });

  it('sends at once when a batch is full', async (t) => {
    const mirror = await FakeMirrorProcess.start(t);
    const { link } = linkFor(t);
    link.connect(mirror.path);
    await eventually(() => mirror.told.length > 0, { intervalMs: 2 });
    link.writer.statement(1, 'pm_1', Buffer.alloc(70_000, 'x'));
    link.flushSoon();
    assert.equal(link.writer.length, 0);
    await eventually(() => mirror.told.length > 1, { intervalMs: 2 });
  });

  it('hands on what the mirror process says', async (t) => {
    const mirror = await FakeMirrorProcess.start(t);
    const { link, told } = linkFor(t);
    link.connect(mirror.path);
    await eventually(() => mirror.connected, { intervalMs: 2 });
    mirror.targetState(3, 2);
    link.writer.transaction(TRANSACTION, Buffer.alloc(0));
    link.flush();
    const [transaction] = await mirror.received(1);
    mirror.acknowledge(transaction!, 2, { sqlstates: ['42P01'] });
    await eventually(() => told.length === 2, { intervalMs: 2 });
    assert.deepEqual(told, ['target 3 2', 'acknowledged 5 1 2 0 42P01']);
  });

  it('tells once that it is over, whoever ends it', async (t) => {
    const mirror = await FakeMirrorProcess.start(t);
    for (const end of [(): void => mirror.disconnect(), (link: MirrorLink): void => link.connect(undefined)]) {
      const { link, told } = linkFor(t);
      link.connect(mirror.path);
      await eventually(() => link.connected && mirror.connected, { intervalMs: 2 });
      end(link);
      await eventually(() => told.length > 0, { intervalMs: 2 });
      assert.equal(link.connected, false);
      link.connect(undefined);
      assert.deepEqual(told, ['closed']);
    }
  });

  it('counts each mirror process as another, and writes nothing to it that was meant for the last', async (t) => {
    const mirror = await FakeMirrorProcess.start(t);
    const { link } = linkFor(t);
    link.connect(mirror.path);
    await eventually(() => mirror.told.length === 1, { intervalMs: 2 });
    link.writer.client(1, 'shop', 'anna');
    link.connect(mirror.path);
    await eventually(() => mirror.told.length === 2, { intervalMs: 2 });
    link.flush();
    assert.deepEqual([mirror.told, link.incarnation], [['hello 5 7', 'hello 5 7'], 2]);
  });

  it('is not connected, and says nothing, where nobody listens', async (t) => {
    const mirror = await FakeMirrorProcess.start(t);
    const { link, told } = linkFor(t);
    link.connect('/nowhere/stream');
    link.writer.client(1, 'shop', 'anna');
    link.flush();
    link.connect(mirror.path);
    await eventually(() => link.connected, { intervalMs: 2 });
    assert.deepEqual([told, link.incarnation], [[], 1]);
  });

  it('takes up a stream that breaks, for as long as the mirror process is there', async (t) => {
    const mirror = await FakeMirrorProcess.start(t);
    const { link, told } = linkFor(t);
    link.connect(mirror.path);
    for (const times of [1, 2]) {
      await eventually(() => link.connected && mirror.told.length === times, { intervalMs: 2 });
      link.writer.client(times, 'shop', 'anna');
      mirror.disconnect();
      await eventually(() => !link.connected, { intervalMs: 2 });
    }
    await eventually(() => mirror.told.length === 3, { intervalMs: 2 });
    assert.deepEqual(mirror.told, ['hello 5 7', 'hello 5 7', 'hello 5 7']);
    assert.deepEqual([told, link.incarnation], [['closed', 'closed'], 3]);
  });

  it('sends what is left when it is closed', async (t) => {
    const mirror = await FakeMirrorProcess.start(t);
    const { link } = linkFor(t);
    link.connect(mirror.path);
    await eventually(() => link.connected, { intervalMs: 2 });
    link.writer.client(1, 'shop', 'anna');
    link.close();
    await eventually(() => mirror.told.at(-1) === 'client 1 shop anna', { intervalMs: 2 });
  });
});
