import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { withoutEffectYet } from '../../src/config/without-effect.ts';
import { DATABASE, load, TWO_DATABASES } from './config-files.ts';

describe('withoutEffectYet', () => {
  it('is silent about defaults and about keys that have effect', (t) => {
    assert.deepEqual(withoutEffectYet(load(t, DATABASE)), []);
    assert.deepEqual(withoutEffectYet(load(t, `[general]\nport = 7000\nmirror_exposure = 0.5\n${DATABASE}`)), []);
  });

  it('names every such key that a file sets, in its section', (t) => {
    const config = load(
      t,
      `${TWO_DATABASES}
      [[databases]]
      name = "app_old"
      host = "db-old"
      [[mirroring]]
      source_db = "app"
      destination_db = "app_new"
      control = "app_old"
      [[mirroring]]
      source_db = "app"
      destination_db = "app_old"`,
    );
    assert.deepEqual(withoutEffectYet(config), ['mirroring[app -> app_new].control']);
  });

  it('is silent about a value that asks for nothing: off, or what happens anyway', (t) => {
    const config = load(
      t,
      `[general]
      pooler_mode = "transaction"
      server_reset = "needed"
      prepared_statements = true
      query_timeout = 0
      ${TWO_DATABASES}
      [[mirroring]]
      source_db = "app"
      destination_db = "app_new"
      sticky = "none"
      compare = false`,
    );
    assert.deepEqual(withoutEffectYet(config), []);
  });
});
