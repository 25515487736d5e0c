import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { parse } from 'smol-toml';
import type { z } from 'zod';
import { adminSchema } from '../../src/config/admin-schema.ts';
import { databaseSchema } from '../../src/config/database-schema.ts';
import { isReloadable } from '../../src/config/differences.ts';
import { generalSchema } from '../../src/config/general-schema.ts';
import { mirroringSchema } from '../../src/config/mirroring-schema.ts';
import { userSchema } from '../../src/config/user-schema.ts';
import { LinearPattern } from '../../src/util/linear-pattern.ts';
import { codeBlocks, partUnder, tableRows, textOf } from './documents.ts';

const text = textOf('docs/configuration.md');

/** Each section with its heading, its schema, and which of its keys a reload changes. */
const sections: readonly {
  readonly heading: string;
  readonly schema: z.ZodObject;
  readonly reloadable: (key: string) => boolean;
}[] = [
  { heading: '`[general]`', schema: generalSchema, reloadable: isReloadable },
  { heading: '`[admin]`', schema: adminSchema, reloadable: () => false },
  { heading: '`[[databases]]`', schema: databaseSchema, reloadable: () => true },
  { heading: '`[[mirroring]]`', schema: mirroringSchema, reloadable: () => true },
  { heading: '`[[users]]`', schema: userSchema, reloadable: () => true },
];

describe('docs/configuration.md', () => {
  for (const { heading, schema, reloadable } of sections) {
    const rows = tableRows(partUnder(text, heading));

    it(`has every key of ${heading}, and no other, in the schema's order`, () => {
      assert.deepEqual(
        rows.map(([key]) => key),
        Object.keys(schema.shape).map((key) => `\`${key}\``),
      );
    });

    it(`has the defaults of ${heading}, what is accepted, and whether a reload changes it`, () => {
      const expected = Object.entries(schema.shape).map(([key, field]) => [
        key,
        documentedDefault(field as z.ZodType),
        accepted(field as z.ZodType),
        reloadable(key) ? 'yes' : 'no',
      ]);
      const found = rows.map(([key = '', byDefault = '', reload, accepts]) => [
        key.replaceAll('`', ''),
        // Where the schema has no default, another key's value may count.
        /^as `[\w.]+`$/.test(byDefault) ? 'none' : byDefault,
        accepts,
        reload,
      ]);
      assert.deepEqual(found, expected);
    });

    it(`says of every key of ${heading} what it means`, () => {
      assert.deepEqual(
        rows.filter((row) => row.length !== 5 || !row[4]?.endsWith('.')),
        [],
      );
    });
  }
});

function documentedDefault(field: z.ZodType): string {
  const left = field.safeParse(undefined);
  if (!left.success) return 'required';
  return left.data === undefined ? 'none' : `\`${JSON.stringify(left.data)}\``;
}

/** What the error for a value that nothing accepts says is accepted. */
function accepted(field: z.ZodType): string | undefined {
  return field.safeParse(Symbol('nothing accepts this')).error?.issues[0]?.message;
}

describe('The patterns of docs/configuration.md that are ready to be copied', () => {
  const patterns = codeBlocks(partUnder(text, 'What to leave out'), 'toml').map((code) => {
    const { exclude_query: pattern } = parse(code);
    assert.equal(typeof pattern, 'string');
    return pattern as string;
  });
  /** By pattern: what it matches. */
  const matched: readonly (readonly string[])[] = [
    [
      ...[
        'SELECT 1',
        'select 1;',
        '',
        ' ; ',
        '/* ping */ SELECT 1',
        'select\ttrue',
        'SELECT version()',
        'SELECT NOW();',
      ],
      ...['SHOW transaction_read_only', 'show server_version'],
    ],
    [
      'SELECT * FROM pg_stat_activity',
      'select sum(blks_hit) from pg_catalog.pg_statio_user_tables',
      'SELECT count(*) FROM pg_locks',
      "SELECT pg_database_size('app')",
      'SELECT relname, pg_total_relation_size(oid) FROM pg_class',
    ],
    ['SELECT iban FROM account', 'UPDATE person SET "passport_no" = $1'],
  ];
  const others = [
    'SELECT 10',
    'SELECT 1 FROM item',
    'SELECT 1; DELETE FROM item',
    '/* SELECT 1 */ DELETE FROM item',
    'SELECT version FROM item',
    'SELECT now(), id FROM item',
    'SHOW x; DROP TABLE y',
    'SELECT pg_status FROM item',
    'SELECT relation_size FROM item',
    'SELECT * FROM ibans',
    'BEGIN',
  ];

  it('match what they are for, and nothing else', () => {
    assert.equal(patterns.length, matched.length);
    for (const [index, pattern] of patterns.entries()) {
      const compiled = new LinearPattern(pattern);
      for (const [other, texts] of [...matched, others].entries()) {
        for (const sql of texts) assert.equal(compiled.isIn(sql), index === other, `${pattern}: ${sql}`);
      }
    }
  });

  it('can be joined', () => {
    const joined = new LinearPattern(patterns.join('|'));
    for (const sql of matched.flat()) assert.ok(joined.isIn(sql), sql);
    for (const sql of others) assert.ok(!joined.isIn(sql), sql);
  });
});
