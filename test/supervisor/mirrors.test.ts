import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import type { TestContext } from 'node:test';
import type { Config } from '../../src/config/config.ts';
import { exposureOf, MirrorIds, mirrorRoutes, mirrorTargets, sourceLogins } from '../../src/supervisor/mirrors.ts';
import type { MirrorOverrides } from '../../src/supervisor/mirrors.ts';
import { load, TWO_DATABASES } from '../config/config-files.ts';

const USERS = `
[[users]]
name = "anna"
database = "app"
password = "a"

[[users]]
name = "anna"
database = "app_new"
password = "b"
server_user = "anna_new"

[[users]]
name = "bert"
database = "app"
password = "c"
`;

function mirroring(options = ''): string {
  return `
[[mirroring]]
source_db = "app"
destination_db = "app_new"
${options}
`;
}

function config(t: TestContext, text = mirroring()): Config {
  return load(t, TWO_DATABASES + text, USERS);
}

function overrides(options: Partial<MirrorOverrides> = {}): MirrorOverrides {
  return { exposures: new Map(), disabled: new Set(), ...options };
}

describe('the number of a mirror', () => {
  it('stays as long as it leads to the same place', (t) => {
    const ids = new MirrorIds();
    const before = config(t);
    const after = config(t, mirroring('exposure = 0.5'));
    assert.equal(ids.idOf(before.mirroring[0]!, before), 1);
    assert.equal(ids.idOf(after.mirroring[0]!, after), 1);
    assert.deepEqual(ids.nameOf(1), { source: 'app', destination: 'app_new' });
    assert.equal(ids.nameOf(2), undefined);
  });

  it('is another where the destination has moved, and the old one again where it moves back', (t) => {
    const ids = new MirrorIds();
    const here = config(t);
    const there = load(t, TWO_DATABASES.replace('db-new', 'db-newer') + mirroring(), USERS);
    const port = load(t, TWO_DATABASES.replace('"db-new"', '"db-new"\nport = 5433') + mirroring(), USERS);
    const name = load(t, TWO_DATABASES.replace('"db-new"', '"db-new"\ndatabase_name = "other"') + mirroring(), USERS);
    assert.deepEqual(
      [here, there, here, port, name].map((one) => ids.idOf(one.mirroring[0]!, one)),
      [1, 2, 1, 3, 4],
    );
  });

  it('is never that of another mirror', (t) => {
    const ids = new MirrorIds();
    const one = config(t, `${mirroring()}\n[[mirroring]]\nsource_db = "app_new"\ndestination_db = "app"\n`);
    assert.deepEqual(
      one.mirroring.map((mirror) => ids.idOf(mirror, one)),
      [1, 2],
    );
  });
});

describe('the exposure of a mirror', () => {
  const cases: readonly (readonly [string, string, Partial<MirrorOverrides>, number])[] = [
    ['the general one', mirroring(), {}, 0.5],
    ['its own', mirroring('exposure = 0.2'), {}, 0.2],
    ['what SET exposure said of it', mirroring('exposure = 0.2'), { exposures: new Map([['app_new', 0]]) }, 0],
    ['not what SET exposure said of another', mirroring(), { exposures: new Map([['app', 0.9]]) }, 0.5],
  ];
  for (const [what, text, changed, expected] of cases) {
    it(`is ${what}`, (t) => {
      const one = load(t, `[general]\nmirror_exposure = 0.5\n${TWO_DATABASES}${text}`, USERS);
      assert.equal(exposureOf(one.mirroring[0]!, overrides(changed)), expected);
      assert.equal(mirrorRoutes(one, new MirrorIds(), overrides(changed))[0]?.exposure, expected);
    });
  }
});

describe('a mirror as others see it', () => {
  it('is, for pooler threads, where transactions go and how many', (t) => {
    const one = config(t, mirroring('queue_length = 5\nmax_transaction_size = 1000'));
    const [mirror, ...more] = mirrorRoutes(one, new MirrorIds(), overrides({ disabled: new Set(['app_new']) }));
    assert.deepEqual([mirror?.id, mirror?.source, mirror?.destination, more], [1, 'app', 'app_new', []]);
    assert.deepEqual(
      [mirror?.exposure, mirror?.queueLength, mirror?.maxTransactionSize, mirror?.enabled],
      [1, 5, 1000, false],
    );
  });

  it('is, for the mirror process, how to log in and how to replay', (t) => {
    const one = config(t, mirroring('timing = "none"\ntimeout = 1500\nmax_lag = 10\nlevel = "read"'));
    const [target] = mirrorTargets(one, new MirrorIds(), overrides());
    assert.deepEqual(target?.address, { host: 'db-new', port: 5432 });
    assert.deepEqual(target.users, [{ name: 'anna', user: 'anna_new', password: 'b' }]);
    assert.deepEqual(
      [
        target.id,
        target.database,
        target.fallback,
        target.timing,
        target.timeoutMs,
        target.maxLagMs,
        target.level,
        target.enabled,
      ],
      [1, 'app_new', undefined, 'none', 1500, 10, 'read', true],
    );
  });

  it('is, for both, all that its entry and that of its destination say', (t) => {
    const keys = `
      sticky = "user"
      users = ["anna"]
      application_names = ["shop", "jobs"]
      query = "item"
      exclude_query = "secret"
      allow_side_effects = true
      compare = true
      compare_sample = 0.25
      log_mismatches = true
      exposure = 0.125`;
    const more = 'pinned_pool_size = 7\nstatement_timeout = 5000\nparameters = { lock_timeout = "2s" }';
    const general = '[general]\nconnect_timeout = 1234\nprepared_statements_limit = 77\ndefault_pool_size = 9\n';
    const databases = TWO_DATABASES.replace('host = "db-new"', `host = "db-new"\n${more}`);
    const one = load(t, general + databases + mirroring(keys), USERS);
    const disabled = overrides({ disabled: new Set(['app_new']) });
    const [seen] = mirrorRoutes(one, new MirrorIds(), disabled);
    const [target] = mirrorTargets(one, new MirrorIds(), disabled);
    assert.deepEqual(seen, {
      id: 1,
      source: 'app',
      destination: 'app_new',
      queueLength: 128,
      maxTransactionSize: 16_777_216,
      enabled: false,
      compareSample: 0.25,
      exposure: 0.125,
      sticky: 'user',
      users: new Set(['anna']),
      applicationNames: new Set(['shop', 'jobs']),
    });
    assert.ok(target !== undefined);
    assert.deepEqual(
      {
        poolSize: target.poolSize,
        pinnedPoolSize: target.pinnedPoolSize,
        connectTimeoutMs: target.connectTimeoutMs,
        preparedStatementsLimit: target.preparedStatementsLimit,
        parameters: target.parameters,
        query: target.query,
        excludeQuery: target.excludeQuery,
        enabled: target.enabled,
        allowSideEffects: target.allowSideEffects,
        isControl: target.isControl,
        compare: target.compare,
        tls: target.tls,
      },
      {
        poolSize: 9,
        pinnedPoolSize: 7,
        connectTimeoutMs: 1234,
        preparedStatementsLimit: 77,
        parameters: { lock_timeout: '2s', statement_timeout: '5000' },
        query: 'item',
        excludeQuery: 'secret',
        enabled: false,
        allowSideEffects: true,
        isControl: false,
        compare: { logMismatches: true, control: undefined },
        tls: one.tls.servers,
      },
    );
  });

  it('as the control of another takes what that takes', (t) => {
    const third = '\n[[databases]]\nname = "app_control"\nhost = "db-control"\n';
    const own = mirroring(
      'exposure = 0.125\nsticky = "user"\nusers = ["anna"]\ncompare = true\ncontrol = "app_control"',
    );
    const control = mirroring().replace('"app_new"', '"app_control"');
    const one = load(t, TWO_DATABASES + third + own + control, USERS);
    const ids = new MirrorIds();
    const [first, second] = mirrorRoutes(one, ids, overrides());
    const { exposure, sticky, users } = second!;
    assert.deepEqual([exposure, sticky, users], [first?.exposure, first?.sticky, first?.users]);
    const targets = mirrorTargets(one, ids, overrides());
    assert.deepEqual(
      targets.map(({ isControl, compare, allowSideEffects }) => [isControl, compare?.control, allowSideEffects]),
      [
        [false, second?.id, false],
        [true, undefined, false],
      ],
    );
  });

  it("has the destination's own login for users that it does not name", (t) => {
    const databases = TWO_DATABASES.replace(
      'host = "db-new"',
      'host = "db-new"\nuser = "mirror"\npassword = "m"\npool_size = 3',
    );
    const [target] = mirrorTargets(load(t, databases + mirroring(), USERS), new MirrorIds(), overrides());
    assert.deepEqual([target?.fallback, target?.poolSize], [{ user: 'mirror', password: 'm' }, 3]);
  });

  it('has no login where only a verifier is known', (t) => {
    const hash =
      'SCRAM-SHA-256$4096:c2FsdHNhbHRzYWx0c2FsdA==$MDEyMzQ1Njc4OTAxMjM0NTY3ODkwMTIzNDU2Nzg5MDE=:MDEyMzQ1Njc4OTAxMjM0NTY3ODkwMTIzNDU2Nzg5MDE=';
    const users = `[[users]]\nname = "anna"\nall_databases = true\npassword_hash = "${hash}"\n`;
    const [target] = mirrorTargets(load(t, TWO_DATABASES + mirroring(), users), new MirrorIds(), overrides());
    assert.deepEqual(target?.users, []);
  });

  it('has its source looked at with a login of the source', (t) => {
    const [login, ...more] = sourceLogins(config(t));
    assert.deepEqual([login?.source, login?.address, login?.database], ['app', { host: 'db', port: 5432 }, 'app']);
    assert.deepEqual([login?.user, login?.password, more], ['anna', 'a', []]);
    assert.deepEqual(sourceLogins(load(t, TWO_DATABASES + mirroring())), [], 'nobody may log in to it');
    assert.deepEqual(sourceLogins(config(t, '')), [], 'nothing is mirrored');
    const owned = TWO_DATABASES.replace('host = "db"', 'host = "db"\nuser = "owner"\npassword = "o"') + mirroring();
    const [own] = sourceLogins(load(t, `[general]\nauth_user = "asker"\n${owned}`));
    assert.deepEqual([own?.user, own?.password], ['owner', 'o'], 'its users are looked up');
  });
});
