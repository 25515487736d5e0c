import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import type { TestContext } from 'node:test';
import { PoolBudget } from '../../src/pool/pool-budget.ts';
import type { PoolerLimits, PoolerRoute } from '../../src/pooler/pooler-options.ts';
import { Pools } from '../../src/pooler/pools.ts';
import type { PoolWay, WelcomeNews } from '../../src/pooler/pools.ts';
import { within } from '../support/eventually.ts';

const limits = { rollbackTimeoutMs: 1_000, checkoutTimeoutMs: 60_000, connectTimeoutMs: 1_000 } as PoolerLimits;

function wayTo(port: number): PoolWay {
  const route = { database: 'app', serverUser: 'anna', mode: 'session', poolSize: 1 } as PoolerRoute;
  const address = { host: '127.0.0.1', port };
  const database = { name: 'app', address, databaseName: 'app', parameters: {}, resetAlways: false };
  return { database: { ...database, tls: { verify: 'disabled' } } as unknown as PoolWay['database'], route, limits };
}

/** Pools that get their budgets when the test says so. */
function poolsOf(t: TestContext) {
  const budgets = Promise.withResolvers<void>();
  const pools = new Pools({
    budget: async () => {
      await budgets.promise;
      return PoolBudget.alone();
    },
    log: () => undefined,
    paused: { all: false, but: [] },
    tellWelcome: () => undefined,
  });
  t.after(() => pools.destroy());
  return { pools, letMake: budgets.resolve };
}

describe('a pool that is being made while the configuration changes', () => {
  it('leads where it leads by then', async (t) => {
    const { pools, letMake } = poolsOf(t);
    let port = 1;
    const made = pools.get('anna', 'app', () => wayTo(port));
    port = 2;
    letMake();
    assert.equal((await made)?.pool.options.login.address.port, 2);
  });

  it('is not made where nothing leads there any more', async (t) => {
    const { pools, letMake } = poolsOf(t);
    let way: PoolWay | undefined = wayTo(1);
    const made = pools.get('anna', 'app', () => way);
    way = undefined;
    letMake();
    assert.equal(await made, undefined);
    assert.deepEqual([...pools.all()], []);
  });
});

describe('a pool for which there is no budget', () => {
  it('is refused to who asks for it, and left out where it is to be kept', async (t) => {
    const told: string[] = [];
    const pools = new Pools({
      budget: () => Promise.reject(new Error('there are too many pools')),
      log: (message, fields) => told.push(`${message} ${JSON.stringify(fields)}`),
      paused: { all: false, but: [] },
      tellWelcome: () => undefined,
    });
    t.after(() => pools.destroy());
    await assert.rejects(
      pools.get('anna', 'app', () => wayTo(1)),
      /too many pools/,
    );
    assert.deepEqual(told, []);
    await pools.keep('anna', 'app', () => wayTo(1));
    assert.equal(told.length, 1);
  });
});

describe('what another thread has found out for clients that log in', () => {
  const settings = new Map([['datestyle', 'ISO, DMY']]);
  const news: WelcomeNews = {
    pool: '["app","anna"]',
    asked: '[["datestyle","dmy"]]',
    settings,
    restated: new Map(),
    reported: new Map([['DateStyle', 'ISO, DMY']]),
    notices: new Uint8Array([1]),
  };

  it('is told to those who wait for a server connection to have it tried', async (t) => {
    const { pools, letMake } = poolsOf(t);
    letMake();
    // Nobody answers there.
    const named = await pools.get('anna', 'app', () => wayTo(1));
    assert.ok(named !== undefined);
    void named.pool.pause();
    const welcome = named.desk.welcome(new Map([['datestyle', 'dmy']]), new AbortController().signal);
    assert.equal(named.pool.waitingCount, 1);
    pools.welcomeHeard(news);
    assert.deepEqual((await within(welcome, 5_000, 'the welcome')).settings.entries, settings);
    assert.equal(named.pool.waitingCount, 0);
  });

  it('is kept for a pool that is not there yet', async (t) => {
    const { pools, letMake } = poolsOf(t);
    pools.welcomeHeard({ ...news, pool: '["other","anna"]' });
    pools.welcomeHeard(news);
    letMake();
    const named = await pools.get('anna', 'app', () => wayTo(1));
    void named?.pool.pause();
    const asked = new Map([
      ['datestyle', 'dmy'],
      ['application_name', 'mine'],
    ]);
    const welcome = await within(named!.desk.welcome(asked, new AbortController().signal), 5_000, 'the welcome');
    assert.equal(welcome.reported.entries.get('DateStyle'), 'ISO, DMY');
    assert.equal(welcome.settings.entries.get('application_name'), 'mine');
    assert.deepEqual(welcome.notices, Buffer.from([1]));
  });
});
