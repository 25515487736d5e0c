import assert from 'node:assert/strict';
import { after, before, describe, it } from 'node:test';

import { query } from '../support/bytes.ts';
import { inReverse } from '../support/cleanup.ts';
import { eventually } from '../support/eventually.ts';
import { databaseEntry, Pgmirror } from '../support/pgmirror.ts';
import { machinePostgres, query as ask, startTestPostgres, type RunningPostgres } from '../support/postgres.ts';
import { startWatchedPostgres } from '../support/watched-postgres.ts';
import { WireClient } from '../support/wire-client.ts';

const versions = [0x30000, 0x30001, 0x30002, 0x30003, 0x3270f];
const key = (client: WireClient): string => `key of ${client.secretKey.length} bytes`;

describe('The protocol version', () => {
  const cleanup = inReverse({ after });
  const others = machinePostgres();
  let postgres: RunningPostgres;
  let older: RunningPostgres | undefined;
  let pgmirror: Pgmirror;

  before(async () => {
    postgres = await startWatchedPostgres(cleanup);
    older =
      others === undefined
        ? undefined
        : await startTestPostgres(cleanup, { binaries: others, password: postgres.password });
    const { user, password } = postgres;
    pgmirror = await Pgmirror.start(cleanup, {
      general: { default_pool_size: 1, workers: 2 },
      databases: [
        databaseEntry('app', postgres, 'postgres'),
        ...(older === undefined ? [] : [databaseEntry('older', older, 'postgres')]),
      ],
      users: [{ name: user, password, all_databases: true }],
    });
  });

  const login = async (
    port: number,
    database: string,
    version: number,
    parameters = {},
  ): Promise<[WireClient, string[]]> => {
    const { user, password } = postgres;
    const client = await WireClient.connect({ host: '127.0.0.1', port });
    const messages = await client.logIn({ user, password, database, version, parameters });
    const negotiated = messages.filter(({ type }) => type === 'v').map(({ bytes }) => bytes.toString('hex'));
    return [client, [...negotiated, messages[0]?.type ?? '', key(client)]];
  };

  for (const version of versions) {
    for (const parameters of [{}, { '_pq_.unknown': 'on', '_pq_.other': '' }]) {
      const options = Object.keys(parameters).length;
      it(`3.${version & 0xffff} with ${options} options is negotiated as by PostgreSQL 18`, async () => {
        const [direct, expected] = await login(postgres.port, 'postgres', version, parameters);
        const [pooled, actual] = await login(pgmirror.port, 'app', version, parameters);
        assert.deepEqual(actual, expected);
        assert.deepEqual(
          (await pooled.query('SELECT 1')).map(({ type }) => type),
          ['T', 'D', 'C', 'Z'],
        );
        await Promise.all([direct.end(), pooled.end()]);
      });
    }
  }

  async function cancelsASleep(database: string, server: RunningPostgres, version: number): Promise<void> {
    const [client] = await login(pgmirror.port, database, version);
    const asleep = `SELECT 1 FROM pg_stat_activity WHERE wait_event = 'PgSleep'`;
    const address = { host: pgmirror.host, port: pgmirror.port };
    client.send(query('SELECT pg_sleep(60)'));
    await eventually(async () => (await ask(server.url('postgres'), asleep)).length === 1);
    const almost = Buffer.from(client.secretKey);
    almost[almost.length - 1]! ^= 1;
    for (const wrong of [
      almost,
      client.secretKey.subarray(0, -1),
      Buffer.concat([client.secretKey, Buffer.alloc(1)]),
    ]) {
      await WireClient.cancel(address, client.processId, wrong);
    }
    assert.equal((await ask(server.url('postgres'), asleep)).length, 1, 'a wrong key cancelled');
    // A cancel may come in on another thread than its client.
    await WireClient.cancel(address, client.processId, client.secretKey);
    assert.deepEqual(
      (await client.readUntil('Z')).map(({ type }) => type),
      ['T', 'E', 'Z'],
    );
    await client.end();
  }

  it('3.2 has a long key, which cancels and is compared to its last byte', async () => {
    await cancelsASleep('app', postgres, 0x30002);
  });

  it('3.0 has a short key, which cancels on a server that is spoken to by 3.2', async () => {
    await cancelsASleep('app', postgres, 0x30000);
  });

  it(
    '3.2 is spoken with a client whose server knows 3.0 alone',
    { skip: others === undefined && 'no other PostgreSQL' },
    async () => {
      assert.ok(older !== undefined);
      await cancelsASleep('older', older, 0x30002);
    },
  );
});
