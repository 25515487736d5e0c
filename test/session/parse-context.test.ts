import assert from 'node:assert/strict';
import { describe, it } from 'node:test';

import { ParameterSet } from '../../src/session/parameter-set.ts';
import { parseContext } from '../../src/session/parse-context.ts';

const of = (settings: Readonly<Record<string, string>>): string =>
  parseContext(new ParameterSet(new Map(Object.entries(settings))));

describe('How the texts of a client are read', () => {
  it('is the same for all who have no settings by which a text is read', () => {
    assert.equal(of({}), '');
    assert.equal(of({ application_name: 'x', search_path: 'y', work_mem: '1' }), '');
  });

  const names = [
    ...['client_encoding', 'datestyle', 'intervalstyle', 'timezone', 'timezone_abbreviations', 'lc_monetary'],
    ...['standard_conforming_strings', 'backslash_quote', 'transform_null_equals', 'array_nulls', 'xmloption'],
    ...['bytea_output', 'extra_float_digits', 'quote_all_identifiers'],
  ];
  for (const name of names) {
    it(`depends on ${name}, by name and value`, () => {
      const contexts = [of({}), of({ [name]: 'a' }), of({ [name]: 'b' }), of({ other: 'a' })];
      assert.equal(new Set(contexts).size, 3);
      assert.equal(of({ work_mem: '1', [name]: 'a' }), of({ [name]: 'a' }));
    });
  }
});
