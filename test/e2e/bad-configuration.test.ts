import assert from 'node:assert/strict';
import { after, before, describe, it } from 'node:test';

import { aliceEntry } from '../support/alice.ts';
import { inReverse } from '../support/cleanup.ts';
import { within } from '../support/eventually.ts';
import { LeakWatch } from '../support/leaks.ts';
import { Pgmirror, type PgmirrorFiles } from '../support/pgmirror.ts';

const good: PgmirrorFiles = {
  databases: [
    { name: 'app', host: '127.0.0.1' },
    { name: 'shadow', host: '127.0.0.1', port: 5433 },
  ],
  users: [aliceEntry],
};
const mirror = { source_db: 'app', destination_db: 'shadow' };

describe('A configuration is refused with status 2 and one line for each problem:', () => {
  before(() => LeakWatch.during({ after }));

  const cases: readonly (readonly [what: string, files: PgmirrorFiles, ...lines: RegExp[]])[] = [
    [
      'a key that there is not, with the one that was meant',
      { ...good, general: { default_pool_sise: 5 } },
      /^pgmirror\.toml: general\.default_pool_sise: .*default_pool_size/,
    ],
    [
      'a value of another type',
      { ...good, general: { workers: 'two' } },
      /^pgmirror\.toml: general\.workers: found "two", accepted: an integer from 1 to 256/,
    ],
    [
      'a mirror of a database that there is not',
      { ...good, mirroring: [{ ...mirror, destination_db: 'shado' }] },
      /^pgmirror\.toml: mirroring\[.*\]\.destination_db: found "shado", accepted: .*shadow/,
    ],
    [
      'an exposure of more than all',
      { ...good, mirroring: [{ ...mirror, exposure: 1.5 }] },
      /^pgmirror\.toml: mirroring\[.*\]\.exposure: found 1\.5, accepted: a number from 0 to 1/,
    ],
    [
      'an ordering that this version has not',
      { ...good, mirroring: [{ ...mirror, ordering: 'causal' }] },
      /^pgmirror\.toml: mirroring\[.*\]\.ordering: found "causal", accepted: "session"/,
    ],
    [
      'a user without a password',
      { ...good, users: [{ name: 'alice', database: 'app' }] },
      /^users\.toml: users\[.*\]\.password: /,
    ],
    [
      'all of it at once',
      {
        ...good,
        general: { mirror_exposure: -1, hots: 'x' },
        users: [{ name: 'alice', database: 'ap', password: 'x' }],
      },
      /^pgmirror\.toml: general\.(hots|mirror_exposure): /,
      /^pgmirror\.toml: general\.(hots|mirror_exposure): /,
      /^users\.toml: users\[.*\]\.database: found "ap", accepted: /,
    ],
  ];

  for (const [what, files, ...lines] of cases) {
    it(what, async (t) => {
      const pgmirror = await Pgmirror.launch(inReverse(t), files);
      assert.equal(await within(pgmirror.exited, 15_000, 'pgmirror to end'), 2);
      const said = pgmirror.stderr.trimEnd().split('\n');
      assert.equal(said.length, lines.length, pgmirror.stderr);
      for (const [index, line] of lines.entries()) assert.match(said[index] ?? '', line);
      assert.deepEqual(pgmirror.log.lines, []);
    });
  }
});
