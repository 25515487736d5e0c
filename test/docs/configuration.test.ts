import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import type { z } from 'zod';
import { adminSchema } from '../../src/config/admin-schema.ts';
import { databaseSchema } from '../../src/config/database-schema.ts';
import { isReloadable } from '../../src/config/differences.ts';
import { generalSchema } from '../../src/config/general-schema.ts';
import { mirroringSchema } from '../../src/config/mirroring-schema.ts';
import { userSchema } from '../../src/config/user-schema.ts';
import { partUnder, tableRows, textOf } from './documents.ts';

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
