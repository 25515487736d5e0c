import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { mirrorObjections } from '../../../src/mirror/replay/mirror-objections.ts';
import { connectServer } from '../../../src/pool/connect-server.ts';
import type { ServerLogin } from '../../../src/pool/connect-server.ts';
import { commandComplete, dataRow, errorResponse, readyForQuery } from '../../support/bytes.ts';
import type { Cleanup } from '../../support/cleanup.ts';
import { acceptLogin, expectStartup, ScriptedPostgres, send, waitForClose } from '../../support/scripted-postgres.ts';
import type { Step } from '../../support/scripted-postgres.ts';

/** Answers a query with these rows. */
const answer = (...rows: readonly (readonly string[])[]): Step => {
  return async (peer) => {
    await peer.expect('Q');
    peer.send(...rows.map((row) => dataRow(...row)), commandComplete('SELECT'), readyForQuery('I'));
  };
};

async function serve(test: Cleanup, ...script: readonly Step[]): Promise<ServerLogin> {
  const { host, port } = await ScriptedPostgres.start(test, script);
  return { address: { host, port }, database: 'd', user: 'u', password: undefined, parameters: {}, timeoutMs: 1_000 };
}

describe('Against a mirror is', () => {
  const rules = { level: 'all', allowSideEffects: false, isControl: false } as const;
  const source = async (test: Cleanup): Promise<ServerLogin> =>
    serve(test, acceptLogin(), answer(['']), answer(), waitForClose());

  it('nothing, where the lock is free, it is no standby and reaches nothing', async (t) => {
    const mirror = await serve(t, acceptLogin(), answer(['t', 'f']), answer(), waitForClose());
    assert.deepEqual(await mirrorObjections(connectServer, { source: await source(t), mirror }, rules), []);
  });

  it('that it is the source', async (t) => {
    const mirror = await serve(t, acceptLogin(), answer(['f', 'f']), waitForClose());
    const found = await mirrorObjections(connectServer, { source: await source(t), mirror }, rules);
    assert.deepEqual(found, ['it is the same database as the source']);
  });

  it('that it is in recovery, unless only reads are for it', async (t) => {
    for (const [level, expected] of [
      ['all', ['it is in recovery, and level is not "read"']],
      ['read', []],
    ] as const) {
      const mirror = await serve(t, acceptLogin(), answer(['t', 't']), answer(), waitForClose());
      const found = await mirrorObjections(connectServer, { source: await source(t), mirror }, { ...rules, level });
      assert.deepEqual(found, expected);
    }
  });

  it('that it is in recovery, where it does not say that it is not', async (t) => {
    const mirror = await serve(t, acceptLogin(), answer(['t', 'perhaps']), answer(), waitForClose());
    const found = await mirrorObjections(connectServer, { source: await source(t), mirror }, rules);
    assert.deepEqual(found, ['it is in recovery, and level is not "read"']);
  });

  it('all that it could act with, unless that is allowed', async (t) => {
    const reaching = answer(['extension dblink'], ['foreign server elsewhere']);
    const mirror = await serve(t, acceptLogin(), answer(['t', 'f']), reaching, waitForClose());
    assert.deepEqual(await mirrorObjections(connectServer, { source: await source(t), mirror }, rules), [
      'it has extension dblink, and allow_side_effects is false',
      'it has foreign server elsewhere, and allow_side_effects is false',
    ]);
    const allowed = await serve(t, acceptLogin(), answer(['t', 'f']), waitForClose());
    const logins = { source: await source(t), mirror: allowed };
    assert.deepEqual(await mirrorObjections(connectServer, logins, { ...rules, allowSideEffects: true }), []);
  });

  it('that it is to be a control and has another version than the source', async (t) => {
    const found: string[][] = [];
    for (const [number, name] of [
      ['170009', '17.9'],
      ['180001', '18.1'],
    ] as const) {
      const version = answer(['170002', '17.2 (Debian 17.2-1)']);
      const asked = await serve(t, acceptLogin(), answer(['']), answer(), version, waitForClose());
      const mirror = await serve(
        t,
        ...[acceptLogin(), answer(['t', 'f']), answer([number, name]), answer(), waitForClose()],
      );
      found.push(await mirrorObjections(connectServer, { source: asked, mirror }, { ...rules, isControl: true }));
    }
    assert.deepEqual(found, [[], ['it is a control of version 18.1, and the source has version 17.2']]);
  });

  it('that it is the one who asks', async (t) => {
    const mirror = await serve(t, expectStartup(), send(errorResponse('PM001', 'no', 'FATAL')), waitForClose());
    const found = await mirrorObjections(connectServer, { source: await source(t), mirror }, rules);
    assert.deepEqual(found, ['it is this pgmirror itself']);
  });

  it('not known where one of the two cannot be asked, or answers nonsense', async (t) => {
    const closed = await serve(t, expectStartup());
    await assert.rejects(mirrorObjections(connectServer, { source: await source(t), mirror: closed }, rules));
    const fine = await serve(t, acceptLogin(), answer(['t', 'f']), waitForClose());
    const refusing = await serve(t, expectStartup(), send(errorResponse('28P01', 'no', 'FATAL')), waitForClose());
    await assert.rejects(
      mirrorObjections(connectServer, { source: refusing, mirror: fine }, rules),
      (error: Error & { code?: string }) => error.code === undefined,
    );
    const empty = await serve(t, acceptLogin(), answer(), waitForClose());
    await assert.rejects(
      mirrorObjections(connectServer, { source: await source(t), mirror: empty }, rules),
      /as PostgreSQL does/,
    );
  });
});
