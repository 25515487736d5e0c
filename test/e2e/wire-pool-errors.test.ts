import assert from 'node:assert/strict';
import { after, before, describe, it } from 'node:test';

import {
  bind,
  describe as describeMessage,
  errorFields,
  execute,
  flush,
  parse,
  query,
  rowValues,
  sync,
} from '../support/bytes.ts';
import { inReverse } from '../support/cleanup.ts';
import { eventually } from '../support/eventually.ts';
import type { RunningPostgres } from '../support/postgres.ts';
import type { WireClient } from '../support/wire-client.ts';
import { startWatchedPostgres } from '../support/watched-postgres.ts';
import { Comparison } from './wire/comparison.ts';
import { copyData, copyDone, functionCall } from './wire/copy-messages.ts';

const silenceMs = 150;

describe('What pgmirror itself has to say', () => {
  const cleanup = inReverse({ after });
  let server: RunningPostgres;
  let comparison: Comparison;

  before(async () => {
    server = await startWatchedPostgres(cleanup);
    comparison = await Comparison.start(cleanup, server, { default_pool_size: 1, checkout_timeout: 20_000 });
  });

  /** While another client holds the only connection. */
  async function withoutConnection(use: (client: WireClient) => Promise<void>): Promise<void> {
    const [holder, client] = [await comparison.pooled(), await comparison.pooled()];
    await holder.query('BEGIN');
    await comparison.pgmirror.admin('SET checkout_timeout = 200');
    try {
      await use(client);
    } finally {
      await comparison.pgmirror.admin('SET checkout_timeout = 20000');
      await holder.query('COMMIT');
    }
    client.send(query('SELECT 1'));
    await client.expect('T', 'D', 'C', 'Z');
    await Promise.all([holder.end(), client.end()]);
  }

  const requests = [
    { name: 'a query', bytes: query('SELECT 1'), answer: 'EZ' },
    { name: 'a FunctionCall', bytes: functionCall(1397, '-1'), answer: 'EZ' },
    {
      name: 'an extended segment',
      bytes: Buffer.concat([parse('', 'SELECT 1'), bind('', ''), execute(''), sync]),
      answer: 'EZ',
    },
    {
      name: 'a COPY and its data',
      bytes: Buffer.concat([query('COPY c FROM STDIN'), copyData('1\n'), copyDone]),
      answer: 'EZ',
    },
  ];
  for (const { name, bytes, answer } of requests) {
    it(`is one error where no connection becomes free for ${name}`, async () => {
      await withoutConnection(async (client) => {
        client.send(bytes);
        const [error] = await client.expect(...answer.split(''));
        assert.equal(error && errorFields(error).C, '53300');
        await silence(client);
      });
    });
  }

  it('is one error for a segment without Sync, and then nothing up to its Sync', async () => {
    await withoutConnection(async (client) => {
      client.send(parse('a', 'SELECT 1'));
      await client.expect('E');
      client.send(bind('', 'a'), describeMessage('P', ''), execute(''), flush, query('SELECT 1'));
      await silence(client);
      client.send(sync);
      await client.expect('Z');
      client.send(sync);
      await client.expect('Z');
    });
  });

  it('is one error for each of many requests in one write, in their order', async () => {
    await withoutConnection(async (client) => {
      const segment = [parse('', 'SELECT 1'), bind('', ''), execute(''), sync];
      client.send(...segment, query('SELECT 1'), sync, ...segment);
      await client.expect('E', 'Z', 'E', 'Z', 'Z', 'E', 'Z');
      await silence(client);
    });
  });

  it('is nothing where no connection is needed', async () => {
    await withoutConnection(async (client) => {
      client.send(sync, sync, flush);
      await client.expect('Z', 'Z');
      await silence(client);
    });
  });

  it('leaves no trace of a statement that was refused', async () => {
    await withoutConnection(async (client) => {
      client.send(parse('a', 'SELECT 1'), sync);
      await client.expect('E', 'Z');
    });
    const client = await comparison.pooled();
    client.send(bind('', 'a'), sync);
    await client.expect('E', 'Z');
    await client.end();
  });
});

describe('What a server connection says while it is idle', () => {
  const cleanup = inReverse({ after });
  let server: RunningPostgres;
  let comparison: Comparison;

  before(async () => {
    server = await startWatchedPostgres(cleanup);
    comparison = await Comparison.start(cleanup, server, { default_pool_size: 1 });
  });

  it('reaches the client that has it next only as the setting that is true now', async () => {
    const client = await comparison.pooled();
    await client.query('SELECT 1');
    await comparison.ask("ALTER SYSTEM SET TimeZone = 'Asia/Tokyo'");
    await comparison.ask('SELECT pg_reload_conf()');
    await eventually(async () => {
      const messages = await client.query('SHOW TimeZone');
      const rows = messages.filter(({ type }) => type === 'D').map(rowValues);
      assert.match(messages.map(({ type }) => type).join(''), /^S?TDCZ$/);
      return rows[0]?.[0] === 'Asia/Tokyo';
    });
    await client.end();
    const next = await comparison.pooled();
    const [told] = (await next.query('SELECT 1')).filter(({ type }) => type === 'S');
    await next.end();
    const reported = told?.body.toString() ?? `TimeZone\0${next.parameters.get('TimeZone')}\0`;
    assert.equal(reported, 'TimeZone\0Asia/Tokyo\0');
  });

  it('as a notification, never reaches the next client', async () => {
    const listener = await comparison.pooled();
    await listener.query('LISTEN channel');
    await comparison.ask("NOTIFY channel, 'one'");
    await listener.expect('A');
    await listener.query('UNLISTEN *');
    const again = await comparison.pooled();
    await again.query('LISTEN channel');
    await again.destroy();
    await comparison.ask("NOTIFY channel, 'two'");
    const next = await comparison.pooled();
    await comparison.ask("NOTIFY channel, 'three'");
    for (const client of [next, listener]) {
      assert.match((await client.query('SELECT 1')).map(({ type }) => type).join(''), /^S*TDCZ$/);
      await silence(client);
    }
    await Promise.all([listener.end(), next.end()]);
  });
});

/** Nothing more comes. */
async function silence(client: WireClient): Promise<void> {
  const more = await client.read(silenceMs).then(
    (message) => message.bytes.toString('latin1'),
    () => undefined,
  );
  assert.equal(more, undefined);
}
