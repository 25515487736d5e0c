import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import type { TestContext } from 'node:test';
import { PoolBudget } from '../../src/pool/pool-budget.ts';
import { monotonicNow } from '../../src/util/clock.ts';
import { errorResponse, parameterStatus, terminate } from '../support/bytes.ts';
import { eventually } from '../support/eventually.ts';
import type { MessageSocket } from '../support/message-socket.ts';
import {
  acceptLogin,
  expectBytes,
  expectStartup,
  ScriptedPostgres,
  send,
  until,
  waitForClose,
} from '../support/scripted-postgres.ts';
import type { Step } from '../support/scripted-postgres.ts';
import { PoolBench } from './pool-bench.ts';

const LOGIN: readonly Step[] = [acceptLogin(), waitForClose()];

/** A server that lets everybody in and keeps them. */
async function serverFor(t: TestContext): Promise<ScriptedPostgres> {
  return ScriptedPostgres.start(t, LOGIN);
}

/** A server that keeps its peers, so that a test can end them. */
async function serverWithPeers(t: TestContext): Promise<{ server: ScriptedPostgres; peers: MessageSocket[] }> {
  const peers: MessageSocket[] = [];
  const server = await ScriptedPostgres.start(t, [
    acceptLogin(),
    (peer) => {
      peers.push(peer);
    },
    waitForClose(),
  ]);
  return { server, peers };
}

describe('asking for a connection', () => {
  it('opens one when there is none, and gives it out again when it comes back', async (t) => {
    const server = await serverFor(t);
    const bench = new PoolBench(t, server.port);
    const connection = await bench.get();
    assert.deepEqual([connection.processId, connection.state.parameters.get('server_version')], [4711, '18.4']);
    bench.pool.release(connection);
    assert.equal(bench.pool.idleCount, 1);
    assert.equal(bench.ask().server, connection);
    assert.deepEqual([server.connections, bench.pool.idleCount, bench.pool.waitingCount], [1, 0, 0]);
  });

  it('opens no more than are waited for, and no more than the size', async (t) => {
    const server = await serverFor(t);
    const bench = new PoolBench(t, server.port, { size: 2 });
    const askers = ['a', 'b', 'c'].map((name) => bench.ask(name));
    assert.deepEqual([bench.pool.connecting, bench.pool.waitingCount], [2, 3]);
    await eventually(() => bench.order.length === 2);
    assert.deepEqual([bench.pool.connections.size, bench.pool.waitingCount], [2, 1]);
    assert.deepEqual(bench.order, ['a', 'b']);
    const [first] = askers;
    bench.pool.release(first!.server!);
    assert.deepEqual([bench.order, server.connections], [['a', 'b', 'c'], 2]);
  });

  it('is answered first come, first served', async (t) => {
    const server = await serverFor(t);
    const bench = new PoolBench(t, server.port);
    const connection = await bench.get('first');
    const names = Array.from({ length: 50 }, (_, index) => `waiter ${index}`);
    for (const name of names) bench.ask(name);
    for (let round = 0; round < names.length; round++) bench.pool.release(connection);
    assert.deepEqual(bench.order, ['first', ...names]);
    assert.equal(bench.pool.idleCount, 0);
  });

  it('gives nobody an idle connection while another waits', async (t) => {
    const server = await serverFor(t);
    const bench = new PoolBench(t, server.port);
    const connection = await bench.get('first');
    bench.ask('second');
    bench.ask('third');
    bench.pool.release(connection);
    bench.pool.release(connection);
    assert.deepEqual(bench.order, ['first', 'second', 'third']);
  });

  it('takes the connection that was used last, so that those not needed grow old', async (t) => {
    const server = await serverFor(t);
    const bench = new PoolBench(t, server.port, { size: 3 });
    const [, , last] = await bench.warm(3);
    assert.equal(bench.ask().server, last);
  });

  it('prefers one that suits among the few used last', async (t) => {
    const server = await serverFor(t);
    const bench = new PoolBench(t, server.port, { size: 6 });
    const servers = await bench.warm(6);
    servers.forEach((connection, index) => (connection.state.wish = `wish ${index}`));
    assert.equal(bench.ask('a', 'wish 3').server, servers[3]);
    assert.equal(bench.ask('b', 'wish 0').server, servers[5], 'too many were used since: one that is warm goes first');
    assert.equal(bench.pool.idleCount, 4);
  });

  it('can be given up: the connection goes to the next', async (t) => {
    const server = await serverFor(t);
    const bench = new PoolBench(t, server.port);
    const connection = await bench.get('first');
    const second = bench.ask('second');
    const third = bench.ask('third');
    bench.pool.leave(second);
    bench.pool.leave(second);
    bench.pool.release(connection);
    assert.deepEqual([second.server, second.error, third.server], [undefined, undefined, connection]);
  });

  it('given up while a connection is opened leaves that idle', async (t) => {
    const server = await serverFor(t);
    const bench = new PoolBench(t, server.port);
    bench.pool.leave(bench.ask());
    await eventually(() => bench.pool.idleCount === 1);
    assert.deepEqual([bench.order, bench.pool.connecting], [[], 0]);
  });

  it('tells how long the oldest has waited', async (t) => {
    const server = await serverFor(t);
    const bench = new PoolBench(t, server.port);
    assert.equal(bench.pool.longestWait, 0);
    const connection = await bench.get();
    const before = monotonicNow();
    bench.ask();
    await eventually(() => bench.pool.longestWait > 5);
    assert.ok(bench.pool.longestWait <= monotonicNow() - before + 1);
    bench.pool.release(connection);
    assert.equal(bench.pool.longestWait, 0);
  });
});

describe('waiting too long', () => {
  it('is refused with 53300, and the others wait on', async (t) => {
    const server = await serverFor(t);
    const bench = new PoolBench(t, server.port, { checkoutTimeoutMs: 1_500 });
    const connection = await bench.get('holder');
    const early = bench.ask('early');
    await eventually(() => bench.pool.longestWait > 750, { intervalMs: 1 });
    const late = bench.ask('late');
    await eventually(() => early.error !== undefined, { intervalMs: 1 });
    assert.equal(early.error?.code, '53300');
    assert.match(early.error.message, /within 1500 ms \(checkout_timeout\)$/);
    assert.equal(late.error, undefined);
    bench.pool.release(connection);
    assert.equal(late.server, connection);
  });

  it('says what the last attempt to connect failed with', async (t) => {
    const server = await ScriptedPostgres.start(t, LOGIN, [
      expectStartup(),
      send(errorResponse('53300', 'sorry, too many clients already', 'FATAL')),
    ]);
    const bench = new PoolBench(t, server.port, { size: 2, checkoutTimeoutMs: 1_000 });
    await bench.get('holder');
    const asker = bench.ask();
    await eventually(() => asker.error !== undefined);
    assert.equal(asker.error?.code, '53300');
    assert.match(asker.error.message, /checkout_timeout\): cannot connect to the server: .*too many clients already/);
  });
});

describe('a server that cannot be reached', () => {
  it('has everybody told at once why, where no connection is open', async (t) => {
    const server = await serverFor(t);
    await server.stop();
    const bench = new PoolBench(t, server.port, { size: 2 });
    const askers = ['a', 'b', 'c'].map((name) => bench.ask(name));
    await eventually(() => askers.every(({ error }) => error !== undefined));
    for (const { error } of askers) {
      assert.equal(error?.code, '08006');
      assert.match(error.message, /^cannot connect to the server: .*ECONNREFUSED/);
    }
    assert.deepEqual([bench.pool.connecting, bench.pool.waitingCount], [0, 0]);
  });

  it('is tried again after a pause, and logged once when it goes and once when it is back', async (t) => {
    const refuse: readonly Step[] = [expectStartup(), send(errorResponse('57P03', 'starting up', 'FATAL'))];
    const server = await ScriptedPostgres.start(t, refuse, refuse, LOGIN);
    const bench = new PoolBench(t, server.port);
    for (let attempt = 1; attempt <= 2; attempt++) {
      const asker = bench.ask();
      await eventually(() => asker.error !== undefined);
      assert.equal(server.connections, attempt);
    }
    const before = monotonicNow();
    await bench.get();
    assert.ok(monotonicNow() - before > 100, 'there was a pause');
    assert.deepEqual(
      bench.log.map(({ message }) => message),
      ['cannot connect to the server', 'server is back'],
    );
  });

  it('does not have those refused who can wait for a connection that is open', async (t) => {
    const refuse: readonly Step[] = [expectStartup(), send(errorResponse('53300', 'too many', 'FATAL'))];
    const server = await ScriptedPostgres.start(t, LOGIN, refuse);
    const bench = new PoolBench(t, server.port, { size: 2 });
    const connection = await bench.get('holder');
    const asker = bench.ask('waiter');
    await eventually(() => bench.log.length > 0);
    assert.deepEqual([asker.error, bench.pool.waitingCount], [undefined, 1]);
    bench.pool.release(connection);
    assert.equal(asker.server, connection);
  });

  it('gives the right to open a connection back with each failure', async (t) => {
    const budget = PoolBudget.alone();
    const server = await serverFor(t);
    await server.stop();
    const bench = new PoolBench(t, server.port, { size: 3, budgets: { pool: budget } });
    const askers = [bench.ask(), bench.ask(), bench.ask()];
    await eventually(() => askers.every(({ error }) => error !== undefined));
    assert.equal(budget.open, 0);
  });

  it('is one for which a login cannot be made, too', async (t) => {
    const server = await ScriptedPostgres.start(t, [
      expectStartup(),
      send(Buffer.from('R\0\0\0\x08\0\0\0\x03')),
      waitForClose(),
    ]);
    const bench = new PoolBench(t, server.port);
    const asker = bench.ask();
    await eventually(() => asker.error !== undefined);
    assert.match(asker.error!.message, /password/);
  });
});

describe('a connection that ends', () => {
  it('while it is idle leaves the pool, and nobody gets it', async (t) => {
    const { server, peers } = await serverWithPeers(t);
    const bench = new PoolBench(t, server.port);
    bench.pool.release(await bench.get());
    peers[0]!.socket.end();
    await eventually(() => bench.pool.connections.size === 0);
    assert.deepEqual([bench.pool.idleCount, bench.closings], [0, ['lost']]);
    await bench.get();
    assert.equal(server.connections, 2);
  });

  it('while it is used is reported to its user, and makes room for who waits', async (t) => {
    const { server, peers } = await serverWithPeers(t);
    const bench = new PoolBench(t, server.port);
    const user = bench.ask('user');
    const waiter = bench.ask('waiter');
    await eventually(() => user.server !== undefined && peers.length === 1);
    peers[0]!.socket.destroy();
    await eventually(() => waiter.server !== undefined);
    assert.deepEqual([user.lost.length, bench.order, server.connections], [1, ['user', 'waiter'], 2]);
    bench.pool.release(user.server!);
    assert.equal(bench.pool.idleCount, 0, 'a connection that is closed does not come back');
  });

  it('is replaced for who waits when its user closes it', async (t) => {
    const server = await serverFor(t);
    const bench = new PoolBench(t, server.port);
    const connection = await bench.get();
    const waiter = bench.ask('waiter');
    connection.close('unclean');
    await eventually(() => waiter.server !== undefined);
    assert.notEqual(waiter.server, connection);
    assert.deepEqual(bench.closings, ['unclean']);
  });
});

describe('a cancel on its way to a connection', () => {
  it('holds back the hand-over to the next client until it has arrived', async (t) => {
    const server = await serverFor(t);
    const bench = new PoolBench(t, server.port);
    const connection = await bench.get('cancelled');
    const waiter = bench.ask('waiter');
    connection.countCancel(1);
    connection.countCancel(1);
    bench.pool.release(connection);
    assert.equal(waiter.server, undefined);
    connection.countCancel(-1);
    assert.equal(waiter.server, undefined);
    connection.countCancel(-1);
    assert.equal(waiter.server, connection);
  });

  it('keeps the connection from being idle, and from the pool where it is lost meanwhile', async (t) => {
    const { server, peers } = await serverWithPeers(t);
    const bench = new PoolBench(t, server.port);
    const connection = await bench.get();
    connection.countCancel(1);
    bench.pool.release(connection);
    assert.equal(bench.pool.idleCount, 0);
    await eventually(() => peers.length === 1);
    peers[0]!.socket.destroy();
    await eventually(() => connection.closed);
    connection.countCancel(-1);
    assert.deepEqual([bench.pool.idleCount, bench.pool.connections.size], [0, 0]);
  });
});

describe('changed options', () => {
  it('with another login close idle connections now and the others when they come back', async (t) => {
    const server = await serverFor(t);
    const bench = new PoolBench(t, server.port, { size: 2 });
    await bench.warm(2);
    const used = bench.ask().server!;
    bench.pool.reconfigure({ ...bench.options, size: 2, loginKey: 'two' });
    assert.deepEqual([bench.pool.idleCount, bench.pool.connections.size, used.closed], [0, 1, false]);
    bench.pool.release(used);
    assert.ok(used.closed);
    assert.deepEqual(bench.closings, ['replaced', 'replaced']);
    assert.equal((await bench.get()).retired, false);
  });

  it('with another login do not let a connection in that was being opened with the old one', async (t) => {
    const opened = Promise.withResolvers<void>();
    const old = await ScriptedPostgres.start(t, [until(opened.promise), ...LOGIN]);
    const next = await serverFor(t);
    const bench = new PoolBench(t, old.port);
    const asker = bench.ask();
    await eventually(() => old.connections === 1);
    const login = { ...bench.options.login, address: { host: '127.0.0.1', port: next.port } };
    bench.pool.reconfigure({ ...bench.options, login, loginKey: 'two' });
    opened.resolve();
    await eventually(() => asker.server !== undefined);
    assert.deepEqual([next.connections, bench.closings], [1, ['replaced']]);
  });

  it('with the same login keep every connection', async (t) => {
    const server = await serverFor(t);
    const bench = new PoolBench(t, server.port, { size: 2 });
    await bench.warm(2);
    bench.pool.reconfigure({ ...bench.options, checkoutTimeoutMs: 1 });
    assert.deepEqual([bench.pool.idleCount, bench.pool.options.checkoutTimeoutMs], [2, 1]);
  });

  it('with a smaller size close idle connections, those idle for longest first', async (t) => {
    const server = await serverFor(t);
    const bench = new PoolBench(t, server.port, { size: 3 });
    const [first, second, third] = await bench.warm(3);
    bench.pool.reconfigure({ ...bench.options, size: 1 });
    assert.deepEqual([first!.closed, second!.closed, third!.closed], [true, true, false]);
  });

  it('with a smaller size close idle connections of all threads, and none for those that clients keep', async (t) => {
    const server = await serverFor(t);
    const cells = new Int32Array(PoolBudget.rowLength(2));
    const of = (thread: number): PoolBench => {
      const pool = new PoolBudget({ cells, row: 0, thread, threads: 2, announce: () => undefined });
      return new PoolBench(t, server.port, { size: 4, budgets: { pool } });
    };
    const [one, two] = [of(0), of(1)];
    await one.warm(2);
    await two.warm(2);
    const kept = await two.get();
    two.pool.pin(kept);
    one.pool.reconfigure({ ...one.options, size: 2 });
    two.pool.reconfigure({ ...two.options, size: 2 });
    assert.deepEqual([one.pool.idleCount, two.pool.idleCount, kept.closed], [1, 1, false]);
  });

  it('with a smaller size close those in use when they are handed back, whoever waits', async (t) => {
    const server = await serverFor(t);
    const bench = new PoolBench(t, server.port, { size: 2 });
    const [first, second] = [await bench.get(), await bench.get()];
    const waiter = bench.ask('waiter');
    bench.pool.reconfigure({ ...bench.options, size: 1 });
    bench.pool.release(first);
    assert.deepEqual([first.closed, waiter.server], [true, undefined]);
    bench.pool.release(second);
    assert.deepEqual([second.closed, waiter.server], [false, second]);
  });

  it('with a greater size open what is waited for', async (t) => {
    const server = await serverFor(t);
    const bench = new PoolBench(t, server.port);
    await bench.get('holder');
    const waiter = bench.ask('waiter');
    assert.equal(bench.pool.connecting, 0);
    bench.pool.reconfigure({ ...bench.options, size: 2 });
    await eventually(() => waiter.server !== undefined);
  });
});

describe('connections that are not needed', () => {
  it('are closed when they were idle for too long, with a good-bye', async (t) => {
    const server = await ScriptedPostgres.start(t, [acceptLogin(), expectBytes(terminate), waitForClose()]);
    const bench = new PoolBench(t, server.port, { size: 2, idleTimeoutMs: 20 });
    const [old] = await bench.warm(1);
    await eventually(() => monotonicNow() - old!.idleSince > 20);
    const used = await bench.get();
    bench.pool.sweep();
    assert.equal(used.closed, false, 'it is in use');
    bench.pool.release(used);
    bench.pool.sweep();
    assert.equal(used.closed, false, 'it was used just now');
    await eventually(() => monotonicNow() - used.idleSince > 20);
    bench.pool.sweep();
    assert.deepEqual([used.closed, bench.closings], [true, ['idle_timeout']]);
    await server.finished();
  });

  it('are kept for ever where the idle timeout is off', async (t) => {
    const server = await serverFor(t);
    const bench = new PoolBench(t, server.port, { idleTimeoutMs: 0 });
    const [connection] = await bench.warm(1);
    await eventually(() => monotonicNow() - connection!.idleSince > 5);
    bench.pool.sweep();
    assert.equal(bench.pool.idleCount, 1);
  });
});

describe('the pools of several threads', () => {
  /** Two pools of one size, as two threads have them; announcements go to the other. */
  async function twoThreads(t: TestContext, size: number) {
    const server = await serverFor(t);
    const cells = new Int32Array(PoolBudget.rowLength(2));
    const pools: PoolBench[] = [];
    const bench = (thread: number): PoolBench => {
      const announce = (what: 'wanted' | 'room'): void => {
        const other = pools[1 - thread]!.pool;
        if (what === 'wanted') other.makeRoom();
        else other.roomMayBe();
      };
      const budget = new PoolBudget({ cells, row: 0, thread, threads: 2, announce });
      return new PoolBench(t, server.port, { size, budgets: { pool: budget } });
    };
    pools.push(bench(0), bench(1));
    return { one: pools[0]!, two: pools[1]!, server };
  }

  it('make room: an idle connection of one is closed for who waits in the other', async (t) => {
    const { one, two, server } = await twoThreads(t, 1);
    await one.warm(1);
    await two.get();
    assert.deepEqual([one.pool.connections.size, one.closings, server.connections], [0, ['room_for_others'], 2]);
  });

  it('give a connection up at hand-back where somebody waits in the other', async (t) => {
    const { one, two } = await twoThreads(t, 1);
    const connection = await one.get();
    const waiter = two.ask('waiter');
    assert.equal(waiter.server, undefined);
    one.pool.release(connection);
    await eventually(() => waiter.server !== undefined);
    assert.deepEqual([connection.closed, one.closings], [true, ['room_for_others']]);
  });

  it('serve who has waited longer first, wherever that is', async (t) => {
    const { one, two } = await twoThreads(t, 1);
    const connection = await one.get('holder');
    const elsewhere = two.ask('elsewhere');
    await eventually(() => two.pool.longestWait > 60, { intervalMs: 5 });
    const here = one.ask('here');
    one.pool.release(connection);
    await eventually(() => elsewhere.server !== undefined);
    assert.equal(here.server, undefined);
    two.pool.release(elsewhere.server!);
    await eventually(() => here.server !== undefined);
  });

  it('give up one at a time where their own wait, too', async (t) => {
    const { one, two } = await twoThreads(t, 3);
    const connections = [await one.get(), await one.get(), await one.get()];
    const elsewhere = two.ask('elsewhere');
    await eventually(() => two.pool.longestWait > 60, { intervalMs: 5 });
    const here = [one.ask(), one.ask(), one.ask()];
    for (const connection of connections) one.pool.release(connection);
    assert.deepEqual(one.closings, ['room_for_others']);
    assert.deepEqual(
      here.map(({ server }) => server),
      [connections[1], connections[2], undefined],
    );
    await eventually(() => elsewhere.server !== undefined);
  });

  it('give up none that only changes hands', async (t) => {
    const { one, two } = await twoThreads(t, 1);
    const connection = await one.get('holder');
    two.ask('elsewhere');
    one.pool.release(connection);
    assert.equal(one.ask('here').server, connection);
    assert.deepEqual(one.closings, []);
  });

  it('keep a connection for their own where both have waited as long', async (t) => {
    const { one, two } = await twoThreads(t, 1);
    const connection = await one.get('holder');
    two.ask('elsewhere');
    const here = one.ask('here');
    one.pool.release(connection);
    assert.equal(here.server, connection);
  });
});

describe('a pinned connection', () => {
  it('counts apart from the pool, which may open another in its place', async (t) => {
    const server = await serverFor(t);
    const bench = new PoolBench(t, server.port);
    const kept = await bench.get('keeper');
    const waiter = bench.ask('waiter');
    assert.ok(bench.pool.pin(kept));
    await eventually(() => waiter.server !== undefined);
    assert.deepEqual([kept.pinned, kept.closed, server.connections], [true, false, 2]);
  });

  it('is refused where there are too many already', async (t) => {
    const server = await serverFor(t);
    const bench = new PoolBench(t, server.port, { size: 2, pinnedSize: 1 });
    const [one, two] = [await bench.get(), await bench.get()];
    assert.deepEqual([bench.pool.pin(one), bench.pool.pin(two), two.pinned], [true, false, false]);
  });

  it('counts for the pool again when it comes back, and is closed where that is full', async (t) => {
    const server = await serverFor(t);
    const bench = new PoolBench(t, server.port, { pinnedSize: 2 });
    const first = await bench.get();
    bench.pool.pin(first);
    bench.pool.release(first);
    assert.deepEqual([first.pinned, bench.pool.idleCount], [false, 1]);
    assert.equal(bench.ask().server, first);
    bench.pool.pin(first);
    await bench.get();
    bench.pool.release(first);
    assert.deepEqual([first.closed, bench.closings], [true, ['room_for_others']]);
  });

  it('gives its own share back when it ends, not one of the pool', async (t) => {
    const server = await serverFor(t);
    const [pool, pinned] = [PoolBudget.alone(), PoolBudget.alone()];
    const bench = new PoolBench(t, server.port, { budgets: { pool, pinned } });
    const kept = await bench.get();
    bench.pool.pin(kept);
    assert.deepEqual([pool.open, pinned.open], [0, 1]);
    kept.close('unclean');
    assert.deepEqual([pool.open, pinned.open], [0, 0]);
  });
});

describe('the connections of a database', () => {
  it('are limited for all its pools together', async (t) => {
    const server = await serverFor(t);
    const database = PoolBudget.alone();
    const one = new PoolBench(t, server.port, { size: 5, databaseSize: 2, budgets: { database } });
    const two = new PoolBench(t, server.port, { size: 5, databaseSize: 2, budgets: { database } });
    await one.get();
    const connection = await two.get();
    const waiter = one.ask();
    assert.deepEqual([one.pool.connecting, one.pool.waitingCount, database.open], [0, 1, 2]);
    connection.close('unclean');
    one.pool.roomMayBe();
    await eventually(() => waiter.server !== undefined);
    assert.equal(database.open, 2);
  });

  /** Two pools of a database that may have one connection, each with a budget of its own for it, as pools have. */
  async function twoPools(t: TestContext, pool: (thread: number) => PoolBudget = () => PoolBudget.alone()) {
    const server = await serverFor(t);
    const cells = new Int32Array(PoolBudget.rowLength(2));
    const benches: PoolBench[] = [];
    const databases: PoolBudget[] = [];
    const announce = (what: 'wanted' | 'room'): void => {
      if (what === 'room') for (const bench of benches) setImmediate(() => bench.pool.roomMayBe());
    };
    for (const thread of [0, 1]) {
      const database = new PoolBudget({ cells, row: 0, thread, threads: 2, announce, shared: true });
      databases.push(database);
      const budgets = { pool: pool(thread), database };
      benches.push(new PoolBench(t, server.port, { size: 5, databaseSize: 1, budgets }));
    }
    const [one, two] = benches;
    return { one: one!, two: two!, benches, databases };
  }

  it('are given up where one comes free in one pool and somebody waits in another', async (t) => {
    const { one, two } = await twoPools(t);
    const connection = await one.get();
    const waiter = two.ask();
    one.pool.release(connection);
    await eventually(() => waiter.server !== undefined);
    assert.deepEqual(one.closings, ['room_for_others']);
    two.pool.release(waiter.server!);
    assert.equal(two.ask().server, waiter.server);
  });

  it('are not given up for a pool whose clients wait no more, or wait for RESUME', async (t) => {
    const { one, two, databases } = await twoPools(t);
    await one.get();
    const isWanted = (): boolean => databases[0]!.isWantedByOthers;
    const waiter = two.ask();
    assert.equal(isWanted(), true);
    two.pool.leave(waiter);
    assert.equal(isWanted(), false);
    two.ask();
    assert.equal(isWanted(), true);
    void two.pool.pause();
    assert.equal(isWanted(), false);
    two.pool.resume();
    assert.equal(isWanted(), true);
  });

  it('have no threads tell each other of room, where all of them wait', async (t) => {
    const cells = new Int32Array(PoolBudget.rowLength(2));
    let told = 0;
    const { one, two, benches } = await twoPools(t, (thread) => {
      const announce = (what: 'wanted' | 'room'): void => {
        if (what === 'room' && told++ < 100) setImmediate(() => benches[1 - thread]!.pool.roomMayBe());
      };
      return new PoolBudget({ cells, row: 0, thread, threads: 2, announce });
    });
    await one.get();
    one.ask();
    two.ask();
    for (let turn = 0; turn < 20; turn++) await new Promise((resolve) => setImmediate(resolve));
    assert.equal(told, 0);
  });

  it('have no limit where that is 0', async (t) => {
    const server = await serverFor(t);
    const bench = new PoolBench(t, server.port, { size: 2, databaseSize: 0 });
    await bench.warm(2);
  });
});

describe('a connection that was idle for long', () => {
  /** A pool with one connection that has been idle for longer than it may be without a trial. */
  async function stale(t: TestContext) {
    const server = await serverFor(t);
    const bench = new PoolBench(t, server.port, { healthcheckMs: 5 });
    const [connection] = await bench.warm(1);
    await eventually(() => monotonicNow() - connection!.idleSince > 5);
    return { server, bench, connection: connection! };
  }

  it('is tried before it is given out', async (t) => {
    const { server, bench, connection } = await stale(t);
    const asker = bench.ask();
    assert.deepEqual([bench.checked, asker.server], [[connection], undefined]);
    bench.finishCheck();
    assert.deepEqual([asker.server, server.connections], [connection, 1]);
  });

  it('is replaced where it does not answer', async (t) => {
    const { server, bench, connection } = await stale(t);
    const asker = bench.ask();
    connection.close('lost');
    bench.finishCheck();
    await eventually(() => asker.server !== undefined);
    assert.equal(server.connections, 2);
  });

  it('is idle again where nobody waits for it any more', async (t) => {
    const { bench } = await stale(t);
    bench.pool.leave(bench.ask());
    bench.finishCheck();
    assert.equal(bench.pool.idleCount, 1);
  });
});

describe('a connection that was open for long', () => {
  it('is closed when it is idle, and otherwise when it comes back', async (t) => {
    const server = await serverFor(t);
    const bench = new PoolBench(t, server.port, { size: 2, lifetimeMs: 5 });
    const [idle, used] = await bench.warm(2);
    assert.equal(bench.ask().server, used);
    await eventually(() => monotonicNow() - used!.connectedAt > 5);
    bench.pool.sweep();
    assert.deepEqual([idle!.closed, used!.closed], [true, false]);
    bench.pool.release(used!);
    assert.deepEqual(bench.closings, ['server_lifetime', 'replaced']);
  });

  it('is so at a moment of its own, lest all of a pool close at once', async (t) => {
    const server = await serverFor(t);
    const lifetimeMs = 1_000_000_000;
    const bench = new PoolBench(t, server.port, { size: 20, lifetimeMs, idleTimeoutMs: 0 });
    await bench.warm(20);
    const now = performance.now.bind(performance);
    let ahead = 0;
    t.mock.method(performance, 'now', () => now() + ahead);
    const left = [0.89, 0.91, 0.92, 0.93, 0.94, 0.95, 0.96, 0.97, 0.98, 0.99, 1].map((share) => {
      ahead = share * lifetimeMs;
      bench.pool.sweep();
      return bench.pool.idleCount;
    });
    assert.deepEqual([left[0], left.at(-1)], [20, 0]);
    assert.ok(new Set(left).size > 3, `20 connections, step by step: ${left.join()}`);
  });
});

describe('connections that are to be kept open', () => {
  it('are not taken from another pool that shares a limit: they wait for room', async (t) => {
    const server = await serverFor(t);
    const cells = new Int32Array(PoolBudget.rowLength(1));
    const wanted: string[] = [];
    const database = (): PoolBudget =>
      new PoolBudget({ cells, row: 0, thread: 0, threads: 1, announce: (what) => wanted.push(what), shared: true });
    const [one, two] = [database(), database()].map(
      (budget) => new PoolBench(t, server.port, { minSize: 1, databaseSize: 1, budgets: { database: budget } }),
    );
    one!.pool.sweep();
    await eventually(() => one!.pool.idleCount === 1);
    two!.pool.sweep();
    assert.deepEqual([wanted, two!.pool.connecting], [[], 0]);
    two!.ask();
    assert.deepEqual(wanted, ['wanted'], 'a client that waits is another thing');
    one!.pool.retireAll();
    two!.pool.sweep();
    await eventually(() => two!.pool.connections.size === 1);
  });

  it('are opened when nobody asks, one a sweep, and are not closed for being idle', async (t) => {
    const server = await serverFor(t);
    const bench = new PoolBench(t, server.port, { size: 3, minSize: 2, idleTimeoutMs: 1 });
    for (let kept = 1; kept <= 2; kept++) {
      bench.pool.sweep();
      await eventually(() => bench.pool.idleCount === kept);
    }
    const [extra] = [await bench.get(), await bench.get(), await bench.get()];
    assert.equal(server.connections, 3);
    for (const connection of bench.pool.connections) bench.pool.release(connection);
    await eventually(() => monotonicNow() - extra.idleSince > 5);
    bench.pool.sweep();
    bench.pool.sweep();
    assert.deepEqual([bench.pool.idleCount, bench.closings], [2, ['idle_timeout']]);
  });
});

describe('a pool that is paused', () => {
  it('closes what is idle at once and what is in use when it comes back, and opens nothing, kept or asked for', async (t) => {
    const server = await serverFor(t);
    const bench = new PoolBench(t, server.port, { size: 3, minSize: 2 });
    const [idle, used] = await bench.warm(2);
    assert.equal(bench.ask().server, used);
    let isPaused = false;
    const paused = bench.pool.pause().then(() => (isPaused = true));
    assert.deepEqual([idle!.closed, used!.closed], [true, false]);
    const waiter = bench.ask('waiter');
    await Promise.resolve();
    assert.equal(isPaused, false);
    bench.pool.release(used!);
    await paused;
    bench.pool.sweep();
    assert.deepEqual(
      [bench.pool.connections.size, bench.pool.connecting, bench.closings],
      [0, 0, ['paused', 'paused']],
    );
    bench.pool.resume();
    await eventually(() => waiter.server !== undefined);
    assert.equal(server.connections, 3);
  });

  it('does not keep a connection that was being opened', async (t) => {
    const server = await serverFor(t);
    const bench = new PoolBench(t, server.port);
    const asker = bench.ask();
    await bench.pool.pause();
    await eventually(() => bench.closings.length === 1);
    assert.equal(asker.server, undefined);
    bench.pool.resume();
    await eventually(() => asker.server !== undefined);
  });

  it('lets nobody who waits be late, however long it takes', async (t) => {
    const server = await serverFor(t);
    const bench = new PoolBench(t, server.port, { checkoutTimeoutMs: 5 });
    await bench.pool.pause();
    const asker = bench.ask();
    const asked = monotonicNow();
    await eventually(() => monotonicNow() - asked > 50);
    assert.equal(asker.error, undefined);
    bench.pool.resume();
    await eventually(() => asker.server !== undefined || asker.error !== undefined);
  });
});

describe('a pool that is paused, of a process that stops', () => {
  it('tells who waits that nobody will let it go, and has nobody who comes later wait for ever', async (t) => {
    const server = await serverFor(t);
    const bench = new PoolBench(t, server.port, { checkoutTimeoutMs: 50 });
    await bench.pool.pause();
    const waiting = bench.ask('waiting');
    bench.pool.endPatience();
    assert.equal(waiting.error?.code, '57P01');
    const late = bench.ask('late');
    await eventually(() => late.error !== undefined);
    assert.deepEqual([late.error?.code, server.connections], ['53300', 0]);
  });
});

describe('a pool that is closed', () => {
  it('refuses who waits and closes what is idle, and what is in use when it comes back', async (t) => {
    const server = await serverFor(t);
    const bench = new PoolBench(t, server.port, { size: 2 });
    await bench.warm(2);
    const used = bench.ask('user').server!;
    const other = bench.ask('other').server!;
    const waiter = bench.ask('waiter');
    bench.pool.release(other);
    assert.equal(waiter.server, other);
    const late = bench.ask('late');
    bench.pool.close();
    assert.equal(late.error?.code, '57P03');
    assert.equal(used.closed, false);
    bench.pool.release(used);
    bench.pool.release(other);
    assert.deepEqual([bench.pool.connections.size, bench.closings], [0, ['removed', 'removed']]);
  });

  it('closes a connection that was being opened', async (t) => {
    const server = await serverFor(t);
    const bench = new PoolBench(t, server.port);
    const asker = bench.ask();
    bench.pool.close();
    assert.equal(asker.error?.code, '57P03');
    await eventually(() => bench.closings.length === 1);
    assert.deepEqual([bench.pool.connections.size, bench.pool.connecting], [0, 0]);
  });

  it('refuses who comes later, and lets nobody wait for ever', async (t) => {
    const server = await serverFor(t);
    const bench = new PoolBench(t, server.port);
    await bench.get('holder');
    bench.pool.reconfigure({ ...bench.options, checkoutTimeoutMs: 50 });
    bench.ask('waiter');
    bench.pool.close();
    const late = bench.ask('late');
    await eventually(() => late.error !== undefined, { timeoutMs: 2_000 });
  });

  it('closes what is in use, too, when it is destroyed', async (t) => {
    const server = await serverFor(t);
    const bench = new PoolBench(t, server.port);
    const connection = await bench.get();
    bench.pool.destroy();
    assert.deepEqual([connection.closed, bench.closings], [true, ['shutdown']]);
    await server.finished();
  });
});

describe('a server that fails over', () => {
  it('is noticed at the next login: connections made before are used no more', async (t) => {
    let logins = 0;
    const server = await ScriptedPostgres.start(t, [
      async (peer) => acceptLogin({ in_hot_standby: logins++ === 0 ? 'off' : 'on' })(peer),
      waitForClose(),
    ]);
    const bench = new PoolBench(t, server.port, { size: 3 });
    const old = await bench.get('a');
    const fresh = await bench.get('b');
    bench.pool.release(old);
    assert.deepEqual([old.closed, fresh.closed], [true, false]);
    const another = await bench.get('c');
    bench.pool.release(fresh);
    bench.pool.release(another);
    assert.deepEqual([fresh.closed, another.closed], [false, false]);
  });

  it('is noticed at a hand-back where a connection told while it was used', async (t) => {
    const server = await serverFor(t);
    const bench = new PoolBench(t, server.port, { size: 3 });
    const [idle, used, telling] = [await bench.get('a'), await bench.get('b'), await bench.get('c')];
    bench.pool.release(idle);
    telling.state.parameters.set('default_transaction_read_only', 'on');
    bench.pool.release(telling);
    assert.deepEqual([idle.closed, telling.closed, used.closed], [true, true, false]);
    bench.pool.release(used);
    assert.equal(used.closed, true);
    const fresh = await bench.get('d');
    bench.pool.release(fresh);
    assert.equal(fresh.closed, false, 'what the new ones are is known from their login');
  });

  it('is noticed when an idle connection tells', async (t) => {
    const { server, peers } = await serverWithPeers(t);
    const bench = new PoolBench(t, server.port, { size: 2 });
    const [idle, used] = [await bench.get('a'), await bench.get('b')];
    bench.pool.release(idle);
    await eventually(() => peers.length === 2);
    peers[0]!.send(parameterStatus('default_transaction_read_only', 'on'));
    await eventually(() => idle.closed);
    bench.pool.release(used);
    assert.equal(used.closed, true);
  });
});
