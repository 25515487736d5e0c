import assert from 'node:assert/strict';
import { after, before, describe, it, type TestContext } from 'node:test';
import { check } from '../../../src/cli/check.ts';
import { VERIFIER, writeFiles } from '../../config/config-files.ts';
import { inReverse } from '../../support/cleanup.ts';
import { createDatabase, query, startTestPostgres, type RunningPostgres } from '../../support/postgres.ts';

const ALICE = '[[users]]\nname = "alice"\ndatabase = "app"\npassword = "x"';
const PAIR = '[[mirroring]]\nsource_db = "app"\ndestination_db = "copy"\n';

describe('check --connect', () => {
  const cleanup = inReverse({ after });
  let server: RunningPostgres;
  let source: string;
  let copy: string;

  before(async () => {
    server = await startTestPostgres(cleanup);
    source = await createDatabase(server, 'source');
    copy = await createDatabase(server, 'copy');
  });

  function database(name: string, on: string, more: { port?: number; password?: string } = {}): string {
    const port = more.port ?? server.port;
    const login = `user = "${server.user}"\npassword = "${more.password ?? server.password}"`;
    return `[[databases]]\nname = "${name}"\nhost = "${server.host}"\nport = ${port}\ndatabase_name = "${on}"\n${login}\n`;
  }

  async function checked(t: TestContext, config: string, users = ALICE) {
    const paths = writeFiles(t, config, users);
    const lines: string[] = [];
    const status = await check({ ...paths, connect: true }, { environment: {}, print: (line) => lines.push(line) });
    return { status, lines: lines.map((line) => line.replaceAll(`${paths.directory}/`, '')) };
  }

  it('logs in to every source and mirror, and finds two databases safe', async (t) => {
    const at = `${server.host}:${server.port}`;
    assert.deepEqual(await checked(t, database('app', source) + database('copy', copy) + PAIR), {
      status: 0,
      lines: [
        `source app at ${at} as postgres: fine`,
        `mirror copy at ${at} as postgres: fine`,
        'mirroring[app -> copy]: safe to mirror',
        'pgmirror.toml, users.toml: fine (2 databases, 1 mirror, 1 user)',
      ],
    });
  });

  it('proves that a destination is the source under another address', async (t) => {
    const socket = database('copy', source).replace(server.host, server.socketDirectory);
    const { status, lines } = await checked(t, database('app', source) + socket + PAIR);
    assert.equal(status, 1);
    assert.deepEqual(lines.slice(2), [
      'mirroring[app -> copy]: would be refused: it is the same database as the source',
      'pgmirror.toml, users.toml: valid, but 1 check of the servers failed (2 databases, 1 mirror, 1 user)',
    ]);
  });

  it('names what lets a destination reach out, unless that is allowed', async (t) => {
    const reaching = await createDatabase(server, 'reaching');
    await query(server.url(reaching), 'CREATE FOREIGN DATA WRAPPER nothing');
    await query(server.url(reaching), 'CREATE SERVER elsewhere FOREIGN DATA WRAPPER nothing');
    const config = database('app', source) + database('copy', reaching) + PAIR;
    const refused = await checked(t, config);
    assert.equal(refused.status, 1);
    assert.equal(
      refused.lines[2],
      'mirroring[app -> copy]: would be refused: it has foreign server elsewhere, and allow_side_effects is false',
    );
    assert.equal((await checked(t, `${config}allow_side_effects = true`)).status, 0);
  });

  it('warns of a mirror on which clients are superusers, as they are not on the source', async (t) => {
    await query(server.url('postgres'), "CREATE ROLE plain LOGIN PASSWORD 'plain'");
    const copied = database('copy', copy);
    const own = `user = "plain"\npassword = "plain"\n`;
    const config = database('app', source).replace(/^user[^]*/m, own) + copied + PAIR;
    const { status, lines } = await checked(t, config);
    const line = (who: string): string =>
      `warning: mirroring[app -> copy]: what ${who} may not do on the source is done on the mirror, as the superuser postgres`;
    assert.deepEqual([status, lines[2]], [0, line('alice')]);
    const asked = await checked(t, `[general]\nauth_user = "plain"\n${config}`);
    assert.deepEqual(
      asked.lines.filter((each) => each.includes('superuser')),
      [line('alice'), line('a user that auth_query finds')],
    );
    const alike = config.replace(copied, copied.replace(/^user[^]*/m, own));
    assert.ok((await checked(t, alike)).lines.includes('mirroring[app -> copy]: safe to mirror'));
    assert.equal((await checked(t, alike)).lines.length, 4);
  });

  it('finds the same whatever operators somebody has made on the destination', async (t) => {
    const reaching = await createDatabase(server, 'operators');
    for (const sql of [
      'CREATE FOREIGN DATA WRAPPER nothing',
      'CREATE SERVER elsewhere FOREIGN DATA WRAPPER nothing',
      "CREATE FUNCTION caught(name, name) RETURNS text LANGUAGE plpgsql AS $$ BEGIN RAISE 'caught'; END $$",
      'CREATE OPERATOR || (LEFTARG = name, RIGHTARG = name, FUNCTION = caught)',
    ])
      await query(server.url(reaching), sql);
    const { lines } = await checked(t, database('app', source) + database('copy', reaching) + PAIR);
    assert.equal(
      lines[2],
      'mirroring[app -> copy]: would be refused: it has foreign server elsewhere, and allow_side_effects is false',
    );
  });

  it('says why a server cannot be used, without a password or a stack trace', async (t) => {
    const wrong = database('copy', copy, { password: 'wrong-secret' });
    const { status, lines } = await checked(t, database('app', source) + wrong + PAIR);
    assert.equal(status, 1);
    assert.match(lines[1] ?? '', /^mirror copy at .* as postgres: failed: .*password authentication failed/);
    assert.equal(lines[2], 'mirroring[app -> copy]: safety not checked, for want of a login to the mirror');
    assert.doesNotMatch(lines.join('\n'), /wrong-secret| {4}at /);
  });

  it('does not try those of whom a verifier is all that is known, which is no failure', async (t) => {
    const users = `[[users]]\nname = "alice"\ndatabase = "app"\npassword_hash = "${VERIFIER}"`;
    const config = `[[databases]]\nname = "app"\nhost = "${server.host}"\nport = ${server.port}\n`;
    assert.deepEqual(await checked(t, config, users), {
      status: 0,
      lines: [
        `warning: source app at ${server.host}:${server.port} as alice: not tried, only a SCRAM verifier is known, with which nobody can log in`,
        'pgmirror.toml, users.toml: fine (1 database, 0 mirrors, 1 user)',
      ],
    });
  });

  it('says that nobody listens', async (t) => {
    const { status, lines } = await checked(t, database('app', source, { port: 1 }));
    assert.equal(status, 1);
    assert.match(lines[0] ?? '', /^source app at 127\.0\.0\.1:1 as postgres: failed: .*ECONNREFUSED/);
  });
});
