import assert from 'node:assert/strict';
import { after, before, describe, it, type TestContext } from 'node:test';

import type { TomlTable } from 'smol-toml';

import { alice, aliceEntry } from '../support/alice.ts';
import { bind, errorFields, execute, flush, parse, query, rowValues, sync, type Message } from '../support/bytes.ts';
import { inReverse } from '../support/cleanup.ts';
import { eventually } from '../support/eventually.ts';
import { MeddlingProxy } from '../support/meddling-proxy.ts';
import { databaseEntry, Pgmirror } from '../support/pgmirror.ts';
import { createDatabase, type RunningPostgres } from '../support/postgres.ts';
import { WireClient, type WireAddress } from '../support/wire-client.ts';
import { startWatchedPostgres } from '../support/watched-postgres.ts';
import { Comparison } from './wire/comparison.ts';
import { copyData } from './wire/copy-messages.ts';
import { describeMessage, typesOf } from './wire/dialogue.ts';

/** What was under way when the server connection was killed. */
const situations: readonly { name: string; says: readonly (readonly [Buffer, string])[] }[] = [
  { name: 'in mid-query', says: [[query('SELECT pg_sleep(60)'), '']] },
  {
    name: 'in mid-query of the extended protocol',
    says: [[Buffer.concat([parse('', 'SELECT pg_sleep(60)'), bind('', ''), execute(''), sync]), '']],
  },
  { name: 'in a transaction block, idle', says: [[query('BEGIN'), 'CZ']] },
  {
    name: 'in a block that has failed',
    says: [
      [query('BEGIN'), 'CZ'],
      [query('SELECT 1 / 0'), 'EZ'],
    ],
  },
  { name: 'in a segment that waits for Sync', says: [[Buffer.concat([parse('', 'SELECT 1'), flush]), '1']] },
  {
    name: 'in COPY',
    says: [
      [query('COPY c FROM STDIN'), 'G'],
      [copyData('1\n'), ''],
    ],
  },
  {
    name: 'with a portal half read',
    says: [[Buffer.concat([parse('', 'SELECT generate_series(1, 9)'), bind('p', ''), execute('p', 1), flush]), '12Ds']],
  },
  {
    name: 'while it is pinned by a temporary table',
    says: [[query('CREATE TEMP TABLE mine (id int)'), 'CZ']],
  },
];

describe('When a server connection is killed', () => {
  const cleanup = inReverse({ after });
  let server: RunningPostgres;
  let comparison: Comparison;

  before(async () => {
    server = await startWatchedPostgres(cleanup);
    comparison = await Comparison.start(cleanup, server, { default_pool_size: 1, pinned_pool_size: 1 });
  });

  it('while it is idle in the pool, no client sees anything of it', async () => {
    const client = await comparison.pooled();
    for (let round = 0; round < 10; round += 1) {
      await selectOne(client);
      await comparison.killConnections();
      await selectOne(client);
      await comparison.killConnections();
      client.send(parse('', 'SELECT 1'), bind('', ''), execute(''), sync);
      await client.expect('1', '2', 'D', 'C', 'Z');
    }
    await client.end();
  });

  it('while it is idle in the pool, named and unnamed statements are still there', async () => {
    const client = await comparison.pooled();
    client.send(parse('a', "SELECT 'named'"), parse('', "SELECT 'unnamed'"), sync);
    await client.expect('1', '1', 'Z');
    await comparison.killConnections();
    client.send(bind('', 'a'), execute(''), bind('', ''), execute(''), sync);
    const [, named, , , unnamed] = await client.expect('2', 'D', 'C', '2', 'D', 'C', 'Z');
    assert.deepEqual(
      [named, unnamed].map((row) => row && rowValues(row)),
      [['named'], ['unnamed']],
    );
    await client.end();
  });

  for (const { name, says } of situations) {
    it(`${name}: the client is told as PostgreSQL tells it, and the next is served`, async () => {
      const said = await Promise.all(
        [await comparison.direct(), await comparison.pooled()].map(async (client) => {
          for (const [bytes, answer] of says) {
            client.send(bytes);
            await client.expect(...answer.split(''));
          }
          return client;
        }),
      );
      const [direct, pooled] = said;
      assert.ok(direct !== undefined && pooled !== undefined);
      if (says.at(-1)?.[1] === '') await eventually(async () => (await busy(comparison, direct)) === 2);
      await killBoth(comparison, direct);
      const expected = await rest(direct);
      assert.match(typesOf(expected), /E!$/);
      assert.deepEqual(await rest(pooled), expected);
      const next = await comparison.pooled();
      await selectOne(next);
      await next.end();
      assert.deepEqual(await comparison.traces(), []);
    });
  }

  /** A pgmirror with a proxy between it and the server. */
  async function startBehindProxy(
    t: TestContext,
    general: TomlTable = {},
  ): Promise<{ address: WireAddress; proxy: MeddlingProxy }> {
    const undo = inReverse(t);
    const database = await createDatabase(server);
    const proxy = await MeddlingProxy.start(undo, server);
    const entry = { ...databaseEntry('app', server, database), port: proxy.port };
    const users = [aliceEntry];
    const { host, port } = await Pgmirror.start(undo, {
      general: { default_pool_size: 1, ...general },
      databases: [entry],
      users,
    });
    return { address: { host, port }, proxy };
  }

  describe('amid a row, the client gets the end of the connection, and no other bytes in its place', () => {
    /** What a client gets whose server has sent half of a row and says no more. */
    async function halfARow(t: TestContext, general: TomlTable, then: (proxy: MeddlingProxy) => void): Promise<Buffer> {
      const { address, proxy } = await startBehindProxy(t, general);
      const client = await WireClient.login(address, alice);
      proxy.corrupt((chunk, direction) => {
        if (direction === 'toServer' || !chunk.includes('xxxx')) return chunk;
        proxy.stall('toClient');
        return chunk.subarray(0, chunk.indexOf('xxxx') + 1_000);
      });
      client.send(query("SELECT repeat('x', 50000)"));
      await client.expect('T');
      await eventually(() => client.unread.includes('xxxx'));
      then(proxy);
      await client.waitForClose();
      proxy.cut();
      return client.unread;
    }

    it('where the server is gone', async (t) => {
      const received = await halfARow(t, {}, (proxy) => proxy.cut());
      assert.match(received.toString('latin1', 11), /^x+$/);
    });

    it('where a time limit is over', async (t) => {
      const received = await halfARow(t, { query_timeout: 1_500 }, () => undefined);
      assert.match(received.toString('latin1', 11), /^x+$/);
    });
  });

  describe('while it is given its client’s settings', () => {
    /** Clients of a pgmirror whose server connections break off, once, when the time zone of one is to be set, from `arm` on. */
    async function start(t: TestContext): Promise<{ address: WireAddress; arm: () => void }> {
      const { address, proxy } = await startBehindProxy(t);
      const arm = (): void => {
        proxy.corrupt((chunk, direction) => {
          if (direction === 'toClient' || !chunk.includes("set_config('timezone'")) return chunk;
          proxy.corrupt(undefined);
          proxy.cut();
          return chunk;
        });
      };
      return { address, arm };
    }

    it('which it keeps for something else, too: it goes with it', async (t) => {
      const { address, arm } = await start(t);
      const client = await WireClient.login(address, { ...alice, parameters: { TimeZone: 'Asia/Tokyo' } });
      await client.query('CREATE TEMP TABLE mine (id int)');
      arm();
      client.send(query('RESET TimeZone'));
      const [, , error] = await client.expect('C', 'Z', 'E');
      assert.ok(error !== undefined);
      const { V: severity, C: code } = errorFields(error);
      assert.deepEqual([severity, code], ['FATAL', '08006']);
      await client.waitForClose();
    });

    it('for a request: that gets another', async (t) => {
      const { address, arm } = await start(t);
      const client = await WireClient.login(address, { ...alice, parameters: { TimeZone: 'Asia/Tokyo' } });
      const other = await WireClient.login(address, alice);
      await other.query('SELECT 1');
      arm();
      client.send(query('SHOW TimeZone'));
      const [, row] = await client.expect('T', 'D', 'C', 'Z');
      assert.deepEqual(row && rowValues(row), ['Asia/Tokyo']);
      await Promise.all([client.end(), other.end()]);
    });
  });

  it('the connection that is waited for may be killed: whoever waits gets another', async () => {
    const first = await comparison.pooled();
    await first.query('BEGIN');
    const second = await comparison.pooled();
    second.send(query('SELECT 1'));
    await comparison.killConnections();
    await first.waitForClose();
    await second.expect('T', 'D', 'C', 'Z');
    await second.end();
  });

  it('a server that restarts is used again', async () => {
    const client = await comparison.pooled();
    await selectOne(client);
    await server.restart();
    await selectOne(client);
    await client.end();
  });
});

/** How many of the two clients' servers are at work: that of the direct one, and the one that pgmirror has. */
async function busy(comparison: Comparison, direct: WireClient): Promise<number> {
  const working = `SELECT FROM pg_stat_activity WHERE state = 'active' AND wait_event IS NOT NULL
    AND (pid = ${direct.processId} OR datname = current_database())`;
  return (await comparison.ask(working)).length;
}

/** Ends the backend of the direct client and all of pgmirror's. */
async function killBoth(comparison: Comparison, direct: WireClient): Promise<void> {
  await comparison.killConnections();
  await comparison.ask(`SELECT pg_terminate_backend(${direct.processId}, 5000)`);
}

async function rest(client: WireClient): Promise<string[]> {
  await client.waitForClose();
  const lines: string[] = [];
  // How much of the data a COPY had read by then is chance.
  while (client.unread.length > 0) lines.push(describeMessage(await client.read()).replace(/(W=COPY c), .*/, '$1'));
  return [...lines, 'closed'];
}

async function selectOne(client: WireClient): Promise<void> {
  const messages = await client.query('SELECT 1');
  assert.equal(
    messages
      .map(({ type }) => type)
      .filter((type) => type !== 'S')
      .join(''),
    'TDCZ',
    errorOf(messages),
  );
}

function errorOf(messages: readonly Message[]): string {
  const error = messages.find(({ type }) => type === 'E');
  return error === undefined ? '' : (errorFields(error).M ?? '');
}
