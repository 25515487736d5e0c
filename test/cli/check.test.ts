import assert from 'node:assert/strict';
import { describe, it, type TestContext } from 'node:test';
import { check } from '../../src/cli/check.ts';
import { DATABASE, TWO_DATABASES, VERIFIER, writeFiles } from '../config/config-files.ts';

const PAIR = '[[mirroring]]\nsource_db = "app"\ndestination_db = "app_new"\n';
const ALICE = '[[users]]\nname = "alice"\ndatabase = "app"\npassword = "x"\n';

/** Runs the check and gives its lines without the directory's name. */
async function checked(t: TestContext, config: string, users: string, connect = false) {
  const paths = writeFiles(t, config, users);
  const lines: string[] = [];
  const status = await check({ ...paths, connect }, { environment: {}, print: (line) => lines.push(line) });
  return { status, lines: lines.map((line) => line.replaceAll(`${paths.directory}/`, '')) };
}

describe('check', () => {
  it('says in one line that all is fine', async (t) => {
    const both = '[[users]]\nname = "alice"\nall_databases = true\npassword = "x"';
    assert.deepEqual(await checked(t, TWO_DATABASES + PAIR, both), {
      status: 0,
      lines: ['pgmirror.toml, users.toml: fine (2 databases, 1 mirror, 1 user)'],
    });
  });

  it('gives a line for each problem, and status 2', async (t) => {
    assert.deepEqual(await checked(t, `[general]\nport = 0\n${DATABASE}`, ALICE.replace('"x"', '5')), {
      status: 2,
      lines: [
        'pgmirror.toml: general.port: found 0, accepted: an integer from 1 to 65535',
        'users.toml: users[alice].password: found a number, accepted: a string that is not empty',
        'pgmirror.toml, users.toml: refused (2 problems)',
      ],
    });
  });

  it('warns of a mirror on which a user has no login', async (t) => {
    const { status, lines } = await checked(t, TWO_DATABASES + PAIR, ALICE);
    assert.equal(status, 0);
    assert.deepEqual(lines.slice(0, -1), [
      'warning: pgmirror.toml: mirroring[app -> app_new]: transactions of alice are dropped as no_user: no [[users]] entry for app_new and no databases[app_new].user',
    ]);
    const own = `${TWO_DATABASES}user = "owner"\n${PAIR}`;
    assert.deepEqual((await checked(t, own, ALICE)).lines.length, 1);
  });

  it('warns of a mirror for which only a verifier is known', async (t) => {
    const users = `[[users]]\nname = "alice"\nall_databases = true\npassword_hash = "${VERIFIER}"`;
    const { lines } = await checked(t, TWO_DATABASES + PAIR, users);
    assert.deepEqual(lines.slice(0, -1), [
      'warning: pgmirror.toml: mirroring[app -> app_new]: transactions of alice are dropped as no_user: only a SCRAM verifier is known for app_new, which cannot log in: give server_password',
    ]);
    const withLogin = await checked(t, TWO_DATABASES + PAIR, `${users}\nserver_password = "x"`);
    assert.equal(withLogin.lines.length, 1);
  });

  it('warns of a mirror on which users that auth_query finds have no login', async (t) => {
    const config = `[general]\nauth_user = "alice"\n${TWO_DATABASES}`;
    const users = ALICE.replace(/database.*/, 'all_databases = true');
    assert.deepEqual((await checked(t, config + PAIR, users)).lines.slice(0, -1), [
      'warning: pgmirror.toml: mirroring[app -> app_new]: transactions of users that auth_query finds are dropped as no_user: no databases[app_new].user',
    ]);
    assert.equal((await checked(t, `${config}user = "owner"\n${PAIR}`, users)).lines.length, 1);
  });

  it('warns of what an operator would hardly want', async (t) => {
    const config = `[general]\nhost = "0.0.0.0"\nauth_type = "trust"\n${TWO_DATABASES}${PAIR}exposure = 0`;
    assert.deepEqual((await checked(t, config, '')).lines, [
      'warning: users.toml: no [[users]]: nobody can log in',
      'warning: pgmirror.toml: general.auth_type: "trust" lets in whoever reaches 0.0.0.0',
      'warning: pgmirror.toml: mirroring[app -> app_new].exposure: 0, nothing is mirrored',
      'pgmirror.toml, users.toml: fine (2 databases, 1 mirror, 0 users, 3 warnings)',
    ]);
  });

  it('warns of passwords that would cross a network in plain text', async (t) => {
    const warned = async (general: string): Promise<string[]> => {
      const { lines } = await checked(t, `[general]\nauth_type = "plain"\n${general}\n${DATABASE}`, ALICE);
      return lines.slice(0, -1);
    };
    assert.deepEqual(await warned('host = "0.0.0.0"'), [
      'warning: pgmirror.toml: general.auth_type: "plain": passwords may cross the network in plain text: set tls_client_required',
    ]);
    assert.deepEqual(await warned('host = "127.0.0.1"'), []);
  });

  it('warns of a database whose address is pgmirror’s own', async (t) => {
    const config = `[general]\nunix_socket_dir = "/run/pg"\n${TWO_DATABASES}port = 6432\n`;
    for (const [host, lines] of [
      ['localhost', 2],
      ['127.0.0.1', 2],
      ['/run/pg', 2],
      ['/run/postgresql', 1],
      ['db-new', 1],
    ] as const) {
      const found = await checked(t, config.replace('db-new', host), ALICE);
      assert.equal(found.lines.length, lines, host);
      assert.equal(
        found.lines.includes("warning: pgmirror.toml: databases[app_new]: its address is pgmirror's own"),
        lines === 2,
      );
    }
  });
});
