import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { DropReason, Outcome, TargetState } from '../../../src/mirror/record/record-stream.ts';
import { placeOf } from '../../../src/mirror/record/client-traits.ts';
import { ParameterSet } from '../../../src/session/parameter-set.ts';
import { cstr, query } from '../../support/bytes.ts';
import { eventually } from '../../support/eventually.ts';
import { RecordingBench, requestsOf, route } from './recording-bench.ts';

const SELECT = query('select 1');

/** Numbers from 0 to 1, the same in every run. */
function seeded(seed: number): () => number {
  let state = seed;
  return () => {
    state = (Math.imul(state, 1_664_525) + 1_013_904_223) >>> 0;
    return state / 2 ** 32;
  };
}

describe('who gets a transaction', () => {
  it('is every mirror of its source, each with its own counts', async (t) => {
    const routes = [route(), route({ id: 2, destination: 'b' }), route({ id: 3, source: 'other', destination: 'c' })];
    const bench = await RecordingBench.start(t, { routes });
    bench.client().run('I', SELECT);
    const [transaction] = await bench.mirror.received(1);
    assert.deepEqual(
      [transaction!.targets, bench.rows],
      [
        [1, 2],
        ['1 anna', '2 anna'],
      ],
    );
  });

  it('is nobody where its database has no mirror: nothing is counted and nothing kept', async (t) => {
    const bench = await RecordingBench.start(t, { routes: [] });
    bench.client().run('I', SELECT);
    assert.deepEqual([bench.rows, bench.bytes.used, bench.desk.anyRoute('shop')], [[], 0, false]);
  });

  it('is decided by a fresh roll for each transaction, to the share that the exposure says', async (t) => {
    const bench = await RecordingBench.start(t, {
      routes: [route({ exposure: 0.3, queueLength: 2_000 })],
      random: seeded(7),
    });
    const client = bench.client();
    for (let run = 0; run < 2_000; run++) client.run('I', SELECT);
    const { queueLength, total } = bench.counts();
    assert.equal(total, 2_000);
    assert.ok(Math.abs(queueLength / total - 0.3) < 0.03, `${queueLength} of ${total}`);
    assert.deepEqual(bench.drops(), { exposure: 2_000 - queueLength });
  });

  it('is counted by user, and users beyond those there is room for as one', async (t) => {
    const routes = [route({ exposure: 0 }), route({ id: 2, exposure: 0, destination: 'b' })];
    const bench = await RecordingBench.start(t, { routes });
    const users = 2_500;
    for (let user = 0; user < users; user++) bench.client(`user ${user}`).run('I', SELECT);
    const all = bench.counters.read(bench.rows.length);
    for (const mirror of [1, 2]) {
      const names = bench.rows.filter((name) => name.startsWith(`${mirror} `));
      const total = names.reduce((sum, name) => sum + (all[bench.rows.indexOf(name)]?.total ?? 0), 0);
      assert.equal(total, users, `mirror ${mirror}`);
      assert.equal(bench.counts(`${mirror} user 0`).total, 1);
      assert.ok(bench.counts(`${mirror} (other users)`).total > 1);
    }
  });

  it('is decided once for a whole transaction', async (t) => {
    const rolls: number[] = [];
    const bench = await RecordingBench.start(t, {
      routes: [route({ exposure: 0.5 })],
      random: () => rolls.shift() ?? 0.9,
    });
    const client = bench.client();
    rolls.push(0.9, 0.1, 0.9);
    for (let block = 0; block < 3; block++) {
      for (const [status, text] of [
        ['T', 'begin'],
        ['T', `insert ${block}`],
        ['I', 'commit'],
      ] as const) {
        client.run(status, query(text));
      }
    }
    const [only] = await bench.mirror.received(1);
    assert.deepEqual(
      requestsOf(only!).map(({ messages }) => messages),
      [query('begin'), query('insert 1'), query('commit')],
    );
    assert.deepEqual(bench.drops(), { exposure: 2 });
  });

  it('is everybody at exposure 1 and nobody at exposure 0, whatever is rolled', async (t) => {
    const routes = [route({ exposure: 1 }), route({ id: 2, exposure: 0 })];
    for (const roll of [0, 0.999_999_999]) {
      const bench = await RecordingBench.start(t, { routes, random: () => roll });
      bench.client().run('I', SELECT);
      assert.deepEqual([bench.drops('1 anna'), bench.drops('2 anna')], [{}, { exposure: 1 }]);
    }
  });

  it('sticks to what `sticky` says, for each mirror by itself', async (t) => {
    const rolls: number[] = [];
    const routes = (['none', 'client', 'user', 'application_name'] as const).map((sticky, index) =>
      route({ id: index + 1, destination: sticky, sticky, exposure: 0.5 }),
    );
    const bench = await RecordingBench.start(t, { routes, random: () => rolls.shift() ?? 0.9 });
    // By their hashes anna and the jobs are below a half, the shop is not.
    assert.deepEqual(
      ['anna', 'jobs', 'shop'].map((name) => placeOf(name) < 0.5),
      [true, true, false],
    );
    rolls.push(0.9);
    const client = bench.client('anna', ParameterSet.empty.with('application_name', 'shop'));
    rolls.push(0.1, 0.9);
    client.run('I', SELECT);
    client.recorder.settings = ParameterSet.empty.with('application_name', 'jobs');
    client.run('I', SELECT);
    const transactions = await bench.mirror.received(2);
    assert.deepEqual(
      transactions.map(({ targets }) => targets),
      [
        [1, 3],
        [3, 4],
      ],
    );
  });

  it('changes with the configuration at the next transaction, not in the midst of one', async (t) => {
    const bench = await RecordingBench.start(t);
    const client = bench.client();
    client.run('T', query('begin'));
    bench.desk.configure([route({ enabled: false })]);
    client.run('I', query('commit'));
    client.run('I', SELECT);
    assert.deepEqual([bench.drops(), bench.counts().queueLength], [{ refused: 1 }, 1]);
  });
});

describe('the first drop', () => {
  it('for each mirror and reason is told once, with the user, wherever it is found', async (t) => {
    const routes = [route({ queueLength: 1 }), route({ id: 2, maxTransactionSize: 300 })];
    const bench = await RecordingBench.start(t, { routes });
    for (const user of ['anna', 'bert']) {
      const client = bench.client(user);
      client.run('I', SELECT);
      client.run('I', query(`select '${'x'.repeat(500)}'`));
      client.run('I', SELECT);
    }
    const transactions = await bench.mirror.received(4);
    for (const transaction of transactions.filter(({ targets }) => targets.includes(1))) {
      bench.mirror.acknowledge(transaction, Outcome.Dropped, { reason: DropReason.NoUser, target: 1 });
    }
    await eventually(() => bench.counts('1 bert').queueLength === 0);
    assert.deepEqual(bench.firstDrops, ['1 queue_full anna', '2 too_large anna', '1 no_user anna']);
  });

  it('is not told where that was wanted, is told as the state of the mirror, or happens every day', async (t) => {
    const routes = [
      route({ exposure: 0 }),
      route({ id: 2, enabled: false }),
      route({ id: 3, users: new Set(['bert']) }),
    ];
    const bench = await RecordingBench.start(t, { routes });
    bench.client().run('I', SELECT);
    bench.mirror.targetState(1, TargetState.Down);
    bench.client().run('I', SELECT);
    assert.deepEqual(bench.firstDrops, []);
  });
});

describe('what becomes of a transaction', () => {
  const outcomes = [
    [Outcome.Replayed, 0, { replayed: 1 }],
    [Outcome.Failed, 0, { failed: 1 }],
    [Outcome.TimedOut, 0, { timedOut: 1 }],
    [Outcome.Dropped, DropReason.Lag, { lag: 1 }],
    [Outcome.Dropped, DropReason.Filtered, { filtered: 1 }],
    [Outcome.Dropped, DropReason.MirrorDown, { mirror_down: 1 }],
    [Outcome.Dropped, DropReason.Unsafe, { unsafe: 1 }],
    [Outcome.Dropped, DropReason.Denied, { denied: 1 }],
    [Outcome.Dropped, DropReason.NoUser, { no_user: 1 }],
    [Outcome.Dropped, DropReason.SessionLost, { session_lost: 1 }],
    [Outcome.Dropped, DropReason.Lost, { lost: 1 }],
  ] as const;
  for (const [outcome, reason, expected] of outcomes) {
    it(`is counted as ${JSON.stringify(expected)}`, async (t) => {
      const bench = await RecordingBench.start(t);
      bench.client().run('I', SELECT);
      const before = bench.counts();
      assert.deepEqual([before.total, before.queueLength, before.queuedBytes], [1, 1, 49 + SELECT.length]);
      assert.equal(bench.bytes.used, 49 + SELECT.length);
      const [transaction] = await bench.mirror.received(1);
      bench.mirror.acknowledge(transaction!, outcome, { reason });
      await eventually(() => bench.desk.unfinished === 0, { intervalMs: 2 });
      const { replayed, failed, timedOut, queueLength, queuedBytes } = bench.counts();
      const counted = Object.entries({ replayed, failed, timedOut, ...bench.drops() }).filter(([, count]) => count > 0);
      assert.deepEqual(Object.fromEntries(counted), expected);
      assert.deepEqual([queueLength, queuedBytes, bench.bytes.used], [0, 0, 0]);
    });
  }

  it('is counted for each mirror, and its bytes are free when the last has finished', async (t) => {
    const bench = await RecordingBench.start(t, { routes: [route(), route({ id: 2 })] });
    bench.client().run('I', SELECT);
    const [transaction] = await bench.mirror.received(1);
    bench.mirror.acknowledge(transaction!, Outcome.Failed, { target: 2, sqlstates: ['42P01'] });
    await eventually(() => bench.counts('2 anna').failed === 1, { intervalMs: 2 });
    assert.deepEqual([bench.desk.unfinished, bench.bytes.used > 0, bench.counts('1 anna').queueLength], [1, true, 1]);
    bench.mirror.acknowledge(transaction!, Outcome.Replayed, { target: 1 });
    await eventually(() => bench.desk.unfinished === 0, { intervalMs: 2 });
    assert.equal(bench.bytes.used, 0);
  });

  it('is counted once, whatever is acknowledged again or was never asked', async (t) => {
    const bench = await RecordingBench.start(t);
    bench.client().run('I', SELECT);
    bench.client().run('I', SELECT);
    const [first, second] = await bench.mirror.received(2);
    bench.mirror.acknowledge(first!, Outcome.Replayed);
    bench.mirror.acknowledge(first!, Outcome.Replayed);
    bench.mirror.acknowledge(first!, Outcome.Replayed, { target: 9 });
    bench.mirror.acknowledge({ ...first!, slot: 4_000_000 }, Outcome.Replayed);
    bench.mirror.acknowledge(second!, Outcome.TimedOut);
    await eventually(() => bench.desk.unfinished === 0, { intervalMs: 2 });
    const { replayed, timedOut, total } = bench.counts();
    assert.deepEqual([replayed, timedOut, total, bench.bytes.used], [1, 1, 2, 0]);
  });

  it('counts as one what a mirror makes up beyond the SQLSTATEs that there are', async (t) => {
    const bench = await RecordingBench.start(t);
    const client = bench.client();
    for (let sent = 0; sent < 4; sent++) client.run('I', query('select 1'));
    for (const [index, transaction] of (await bench.mirror.received(4)).entries()) {
      const sqlstates = Array.from({ length: 200 }, (_, at) => String(10_000 + 200 * index + at));
      bench.mirror.acknowledge(transaction, Outcome.Failed, { sqlstates });
    }
    await eventually(() => bench.counts().failed === 4, { intervalMs: 2 });
    assert.equal(bench.desk.errors[0]!.size, 501);
    assert.equal(bench.desk.errors[0]!.get('other'), 300);
  });

  it('has errors of the mirror alone counted by SQLSTATE', async (t) => {
    const bench = await RecordingBench.start(t);
    for (let run = 0; run < 2; run++) bench.client().run('I', SELECT);
    for (const transaction of await bench.mirror.received(2)) {
      bench.mirror.acknowledge(transaction, Outcome.Failed, { sqlstates: ['42P01', '42P01', '23505'] });
    }
    await eventually(() => bench.desk.unfinished === 0, { intervalMs: 2 });
    assert.deepEqual(
      [...bench.desk.errors[0]!],
      [
        ['42P01', 4],
        ['23505', 2],
      ],
    );
  });

  it('is forgotten by RESET STATS but for what is still queued', async (t) => {
    const bench = await RecordingBench.start(t);
    const client = bench.client();
    for (let run = 0; run < 3; run++) client.run('I', SELECT);
    const [first] = await bench.mirror.received(3);
    bench.mirror.acknowledge(first!, Outcome.Failed, { sqlstates: ['42P01'] });
    await eventually(() => bench.counts().failed === 1, { intervalMs: 2 });
    bench.desk.resetCounters();
    const { total, queueLength, failed, queuedBytes } = bench.counts();
    assert.deepEqual([total, queueLength, failed, queuedBytes], [2, 2, 0, 2 * (49 + SELECT.length)]);
    assert.equal(bench.desk.errors[0]?.size, 0);
  });
});

describe('a mirror that is down or refused', () => {
  it('gets nothing, until it is up again', async (t) => {
    const bench = await RecordingBench.start(t);
    const client = bench.client();
    /** What becomes of a transaction once the state is known. */
    const after = async (state: TargetState, expected: Record<string, number>): Promise<void> => {
      bench.mirror.targetState(1, state);
      await eventually(
        () => {
          bench.desk.resetCounters();
          client.run('I', SELECT);
          assert.deepEqual(bench.drops(), expected);
          return true;
        },
        { intervalMs: 2 },
      );
    };
    client.run('I', SELECT);
    await after(TargetState.Down, { mirror_down: 1 });
    await after(TargetState.Refused, { refused: 1 });
    bench.desk.configure([route({ exposure: 0 })]);
    await after(TargetState.Refused, { refused: 1 });
    await after(TargetState.Down, { exposure: 1 });
    bench.desk.configure([route()]);
    await after(TargetState.Up, {});
  });

  it('is down where there is no mirror process, also when that goes in the midst of a transaction', async (t) => {
    const bench = await RecordingBench.start(t, { connected: false });
    const client = bench.client();
    client.run('I', SELECT);
    await bench.connect();
    client.run('T', query('begin'));
    bench.desk.connect(undefined);
    client.run('I', query('commit'));
    assert.deepEqual([bench.drops(), bench.bytes.used], [{ mirror_down: 2 }, 0]);
  });
});

describe('a batch of the record stream', () => {
  it('is sent early where it holds a quarter of a client’s queue, which only that client fills', async (t) => {
    const bench = await RecordingBench.start(t, { routes: [route({ queueLength: 8 })] });
    const [one, other] = [bench.client(), bench.client()];
    /** All at a stroke: no timer is due in between. */
    const batches = [one, other, one, one, other].map((client) => {
      client.run('I', SELECT);
      return { batch: client.recorder.batch, own: client.recorder.batched };
    });
    const [first] = batches;
    assert.deepEqual(
      batches.map(({ batch, own }) => [batch - first!.batch, own]),
      [
        [0, 1],
        [0, 1],
        [0, 2],
        [1, 1],
        [1, 1],
      ],
    );
    await bench.acknowledgeAll();
    assert.equal(bench.counts().replayed, 5);
  });
});

describe('a mirror process that ends', () => {
  it('has what it had counted as lost, and its queues free', async (t) => {
    const bench = await RecordingBench.start(t, { routes: [route({ queueLength: 2 }), route({ id: 2 })] });
    const client = bench.client();
    for (let run = 0; run < 2; run++) client.run('I', SELECT);
    const [first] = await bench.mirror.received(2);
    bench.mirror.acknowledge(first!, Outcome.Replayed, { target: 1 });
    await eventually(() => bench.counts('1 anna').replayed === 1, { intervalMs: 2 });
    bench.mirror.disconnect();
    await eventually(() => bench.desk.unfinished === 0, { intervalMs: 2 });
    assert.deepEqual([bench.drops('1 anna'), bench.drops('2 anna'), bench.bytes.used], [{ lost: 1 }, { lost: 2 }, 0]);
    await bench.connect();
    client.run('I', SELECT);
    assert.deepEqual(bench.drops('1 anna'), { lost: 1 });
  });

  it('has its successor told everything anew: clients, settings and statements', async (t) => {
    const bench = await RecordingBench.start(t);
    const text = bench.registry.acquire(Buffer.concat([cstr('select 1'), Buffer.alloc(2)]));
    const client = bench.client('anna', ParameterSet.empty.with('timezone', 'UTC'));
    const run = (): void => {
      client.recorder.requestStarts();
      client.recorder.usesStatement(text);
      client.recorder.requestSent(false);
      client.ready('I');
    };
    const expected = [
      'hello 5 3',
      'client 1 shop anna',
      'statement 1 pm_1 select 1',
      'settings 1 [["timezone","UTC"]]',
      'transaction of 1',
      'transaction of 1',
    ];
    for (let life = 1; life <= 2; life++) {
      run();
      run();
      await bench.mirror.received(2 * life);
      assert.deepEqual([...bench.mirror.told].sort(), [...expected].sort(), `life ${life}`);
      if (life === 1) {
        bench.mirror.disconnect();
        await eventually(() => bench.desk.unfinished === 0, { intervalMs: 2 });
        bench.mirror.told.length = 0;
        await bench.connect();
      }
    }
  });

  it('does not hear of clients and statements that it was never told of', async (t) => {
    const bench = await RecordingBench.start(t);
    const [quiet, heard] = [bench.client('anna'), bench.client('bert')];
    const text = bench.registry.acquire(Buffer.from('select 1\0\0\0'));
    heard.run('I', SELECT);
    quiet.recorder.closed();
    bench.registry.release(text);
    heard.recorder.closed();
    bench.desk.flush();
    await eventually(() => bench.mirror.told.includes('client gone 2'), { intervalMs: 2 });
    assert.deepEqual(bench.mirror.told, ['hello 5 3', 'client 2 shop bert', 'transaction of 2', 'client gone 2']);
  });

  it('is one that sends what is no acknowledgement', async (t) => {
    const bench = await RecordingBench.start(t);
    bench.client().run('I', SELECT);
    await bench.mirror.received(1);
    bench.mirror.send(Buffer.from([9, 0, 0, 0, 99, 0, 0, 0, 0]));
    await eventually(() => bench.desk.unfinished === 0, { intervalMs: 2 });
    assert.deepEqual(bench.drops(), { lost: 1 });
  });
});

describe('everything recorded', () => {
  it('is given back to the last byte, whatever clients do', async (t) => {
    const random = seeded(42);
    const bench = await RecordingBench.start(t, {
      routes: [route({ queueLength: 3, maxTransactionSize: 4_000 }), route({ id: 2, exposure: 0.5, queueLength: 5 })],
      random,
      limit: 20_000,
    });
    const clients = Array.from({ length: 8 }, (_, index) => ({
      client: bench.client(`user${index % 3}`),
      inFlight: 0,
      block: false,
    }));
    for (let step = 0; step < 3_000; step++) {
      const one = clients[Math.floor(random() * clients.length)]!;
      const roll = random();
      if (roll < 0.45 && one.inFlight < 6) {
        one.client.send(query('x'.repeat(Math.floor(random() * 1_500))));
        one.inFlight++;
      } else if (roll < 0.97 && one.inFlight > 0) {
        one.block = random() < 0.4;
        one.client.ready(one.block ? 'T' : 'I');
        one.inFlight--;
      } else if (roll > 0.98) {
        one.client.recorder.aborted();
        one.inFlight = 0;
      }
    }
    for (const { client } of clients) client.recorder.closed();
    for (const name of bench.rows) bench.counts(name);
    await bench.acknowledgeAll();
    assert.equal(bench.bytes.used, 0);
    for (const name of bench.rows) {
      const { queueLength, queuedBytes, total, replayed } = bench.counts(name);
      assert.deepEqual([queueLength, queuedBytes], [0, 0]);
      assert.ok(total > 0 && replayed > 0);
    }
  });

  it('is at most what the limit says, in all threads together', async (t) => {
    const bench = await RecordingBench.start(t, { limit: 5_000 });
    const clients = Array.from({ length: 20 }, () => bench.client());
    for (const client of clients) {
      client.send(query('x'.repeat(900)));
      assert.ok(bench.bytes.used <= 5_000);
    }
    for (const client of clients) client.ready('I');
    assert.equal(bench.counts().queueLength, 4);
    assert.deepEqual(bench.drops(), { bytes_full: 16 });
  });

  it('is not all of one client, however much it does', async (t) => {
    const bench = await RecordingBench.start(t, { limit: 100_000 });
    const [greedy, modest] = [bench.client(), bench.client('bert')];
    for (let count = 0; count < 200; count++) greedy.run('I', query('x'.repeat(900)));
    assert.ok((bench.drops().bytes_full ?? 0) > 100);
    for (let count = 0; count < 10; count++) modest.run('I', query('x'.repeat(900)));
    assert.deepEqual([bench.drops('1 bert'), bench.counts('1 bert').queueLength], [{}, 10]);
    await bench.acknowledgeAll();
    assert.equal(bench.bytes.used, 0);
  });
});
