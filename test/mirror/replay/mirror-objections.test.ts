import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { mirrorObjections } from '../../../src/mirror/replay/mirror-objections.ts';
import { lookAt } from '../../../src/mirror/replay/safety-look.ts';
import { connectServer, ServerLoginError } from '../../../src/pool/connect-server.ts';
import type { ServerLogin } from '../../../src/pool/connect-server.ts';
import { commandComplete, dataRow, errorResponse, readyForQuery } from '../../support/bytes.ts';
import type { Cleanup } from '../../support/cleanup.ts';
import { acceptLogin, expectStartup, ScriptedPostgres, send, waitForClose } from '../../support/scripted-postgres.ts';
import type { Step } from '../../support/scripted-postgres.ts';
import { targetConfig } from './mirror-child.ts';

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

describe('A look at a mirror', () => {
  const config = targetConfig({ host: '127.0.0.1', port: 1, user: 'first', password: '' }, 'app', {
    users: ['second', 'third'].map((user) => ({ name: user, user, password: '' })),
  });
  const source = { source: 'app', address: config.address, database: 'app', user: 'app', password: '' };

  /** What comes of it where logins to the mirror are answered so, and as whom it was tried. */
  async function look(
    codes: Readonly<Record<string, string>>,
    knowsSource = true,
  ): Promise<{ readonly found: readonly string[]; readonly tried: readonly string[] }> {
    const tried: string[] = [];
    const found = await lookAt(config, {
      connect: async ({ user, parameters }) => {
        tried.push(`${user} ${parameters.application_name}`);
        return Promise.reject(new ServerLoginError('no', { code: codes[user] }));
      },
      source: knowsSource ? source : undefined,
      applicationName: 'looks',
    });
    return { found, tried };
  }

  it('is tried as the next user where the mirror does not know one', async () => {
    const { found, tried } = await look({ first: '28P01', second: '28000', third: 'PM001' });
    assert.deepEqual(tried, ['first looks', 'second looks', 'third looks']);
    assert.deepEqual(found, ['it is this pgmirror itself']);
  });

  it('tells nothing where nobody is let in, or the mirror has other troubles', async () => {
    const refusal = { code: '28P01' };
    await assert.rejects(look({ first: '28P01', second: '28P01', third: '28P01' }), refusal);
    await assert.rejects(look({ first: '57P03' }), { code: '57P03' });
  });

  it('finds what cannot be compared with its source wanting', async () => {
    const { found, tried } = await look({}, false);
    assert.deepEqual(found, ['no login to the source is known, to find out whether it is another database']);
    assert.deepEqual(tried, []);
  });

  it('finds nothing against a mirror that nobody can log in to: nothing can be sent', async () => {
    const nobody = { ...config, users: [], fallback: undefined };
    const connect = async (): Promise<never> => Promise.reject(new Error('nobody is there'));
    assert.deepEqual(await lookAt(nobody, { connect, source: undefined, applicationName: 'looks' }), []);
  });
});
