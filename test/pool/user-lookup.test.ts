import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import type { TestContext } from 'node:test';
import { UserLookup } from '../../src/pool/user-lookup.ts';
import { int16, int32, msg, readyForQuery } from '../support/bytes.ts';
import { within } from '../support/eventually.ts';
import { acceptLogin, expectStartup, ScriptedPostgres, waitForClose, type Step } from '../support/scripted-postgres.ts';

const PARAMETERS = { application_name: 'pgmirror auth_query', search_path: 'pg_catalog' };

/** A row of text values. */
function row(...values: readonly (string | null)[]): Buffer {
  const cells = values.map((value) =>
    value === null ? int32(-1) : Buffer.concat([int32(Buffer.byteLength(value)), Buffer.from(value)]),
  );
  return msg('D', int16(values.length), ...cells);
}

const done = [msg('C', Buffer.from('SELECT 1\0')), readyForQuery('I')];

/** Takes one look-up of anna, in which her name is a parameter, and answers it. */
function answers(...answer: readonly Buffer[]): Step {
  return async (peer) => {
    const [parse, bind] = await peer.expect('P', 'B', 'E', 'S');
    assert.equal(parse?.body.toString('latin1'), '\0ask $1\0\0\0');
    assert.ok(bind?.body.includes(Buffer.concat([int32(4), Buffer.from('anna')])));
    peer.send(msg('1'), msg('2'), ...answer);
  };
}

function lookup(t: TestContext, server: ScriptedPostgres, timeoutMs = 2_000): UserLookup {
  const address = { host: server.host, port: server.port };
  const login = { address, database: 'app', user: 'asker', password: undefined, parameters: PARAMETERS, timeoutMs };
  const asking = new UserLookup(login, 'ask $1');
  t.after(() => asking.close());
  return asking;
}

describe('looking a user up', () => {
  it('gives the second column of the row of that name, and nothing for another, a null or no row', async (t) => {
    const rows: readonly Buffer[][] = [
      [row('anna', 'hash')],
      [row('ann', 'hash')],
      [row('anna', null)],
      [],
      [row('anna')],
    ];
    const steps = rows.map((found) => answers(...found, ...done));
    const server = await ScriptedPostgres.start(t, [acceptLogin(), ...steps, waitForClose()]);
    const asking = lookup(t, server);
    const found = [];
    for (const _ of rows) found.push(await asking.find('anna'));
    assert.deepEqual(found, ['hash', undefined, undefined, undefined, undefined]);
    assert.equal(server.connections, 1);
  });

  it('is done as the configured user, with settings of its own', async (t) => {
    const server = await ScriptedPostgres.start(t, [expectStartup({ user: 'asker', database: 'app', ...PARAMETERS })]);
    await assert.rejects(lookup(t, server).find('anna'));
    await server.finished();
  });

  it('fails with the server’s error, more than one row, an open transaction, or what nobody asked for', async (t) => {
    const error = msg('E', Buffer.from('SERROR\0C42P01\0Mno such table\0\0'));
    const cases: readonly (readonly [Buffer[], RegExp])[] = [
      [[error, readyForQuery('I')], /no such table/],
      [[row('anna', 'a'), row('anna', 'b'), ...done], /more than one row/],
      [[row('anna', 'a'), readyForQuery('T')], /transaction open/],
      [[row('anna', 'a'), ...done, ...done], /more than it was asked for/],
      [[msg('D', int16(2), int32(1000)), ...done], /malformed DataRow/],
    ];
    for (const [messages, reason] of cases) {
      const server = await ScriptedPostgres.start(t, [acceptLogin(), answers(...messages), waitForClose()]);
      await assert.rejects(lookup(t, server).find('anna'), reason);
    }
  });

  it('is asked again on another connection where the one that was kept is gone', async (t) => {
    const once = [acceptLogin(), answers(row('anna', 'hash'), ...done)];
    const server = await ScriptedPostgres.start(t, once, [...once, waitForClose()]);
    const asking = lookup(t, server);
    assert.equal(await asking.find('anna'), 'hash');
    assert.equal(await asking.find('anna'), 'hash');
    assert.equal(server.connections, 2);
  });

  it('does not wait for a silent server again and again: who stood behind the first fails with it', async (t) => {
    const server = await ScriptedPostgres.start(t, [waitForClose()]);
    const asking = lookup(t, server, 100);
    const all = Promise.allSettled(Array.from({ length: 50 }, async () => asking.find('anna')));
    const results = await within(all, 1_000, 'fifty failures');
    assert.ok(results.every(({ status }) => status === 'rejected'));
    assert.ok(server.connections <= 2);
  });
});
