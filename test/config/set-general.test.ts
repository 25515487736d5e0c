import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import type { Config } from '../../src/config/config.ts';
import { generalSetting, withSetting } from '../../src/config/set-general.ts';
import { load, TWO_DATABASES } from './config-files.ts';

function changed(config: Config, key: string, text: string): Config {
  const result = generalSetting(config, key, text);
  assert.ok('setting' in result, JSON.stringify(result));
  return withSetting(config, result.setting);
}

function mirroring(source: string, destination: string, own = ''): string {
  return `[[mirroring]]\nsource_db = "${source}"\ndestination_db = "${destination}"\n${own}\n`;
}

describe('a key of [general] that is set', () => {
  it('is, with what was there before, another configuration', (t) => {
    const before = load(t, `[general]\nconnect_timeout = 7\n${TWO_DATABASES}`);
    const after = changed(before, 'idle_timeout', '1e3');
    assert.deepEqual(
      [before.general.idle_timeout, after.general.idle_timeout, after.general.connect_timeout],
      [60_000, 1_000, 7],
    );
    assert.deepEqual({ ...after, general: before.general }, before);
    assert.throws(() => Object.assign(after.general, { idle_timeout: 1 }), TypeError);
  });

  it('counts for the mirrors that take their value from there', (t) => {
    const own = 'exposure = 0.9\nqueue_depth = 9';
    const before = load(t, TWO_DATABASES + mirroring('app', 'app_new') + mirroring('app_new', 'app', own));
    const after = changed(changed(before, 'mirror_exposure', '0.3'), 'mirror_queue', '5');
    assert.deepEqual(
      after.mirroring.map(({ exposure, queue_length: length }) => [exposure, length]),
      [
        [0.3, 5],
        [0.9, 9],
      ],
    );
  });

  it('leaves room for the connections that pools keep', (t) => {
    const kept = load(t, TWO_DATABASES.replace('"db-new"', '"db-new"\nmin_pool_size = 4'));
    const refused = generalSetting(kept, 'default_pool_size', '3');
    assert.ok('refusal' in refused);
    assert.equal(refused.refusal.hint, 'min_pool_size of the database "app_new" is 4.');
    assert.equal(changed(kept, 'default_pool_size', '4').general.default_pool_size, 4);
    const owned = load(t, TWO_DATABASES.replace('"db-new"', '"db-new"\nmin_pool_size = 4\npool_size = 4'));
    assert.equal(changed(owned, 'default_pool_size', '3').general.default_pool_size, 3);
  });
});
