import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import type { Logger } from 'pino';
import { OpenFilesWatch } from '../../src/supervisor/open-files-watch.ts';

describe('the watch over open files', () => {
  it('says once when no more can be opened, and once when that is over', (t) => {
    t.mock.timers.enable({ apis: ['setInterval'] });
    const said: [level: string, fields: Record<string, unknown>][] = [];
    const note = (level: string) => (fields: Record<string, unknown>) => void said.push([level, fields]);
    const logger = { error: note('error'), info: note('info') } as unknown as Logger;
    let code: string | undefined;
    const open = (): void => {
      if (code !== undefined) throw Object.assign(new Error(code), { code });
    };
    const watch = new OpenFilesWatch(logger, { open, limit: () => 64 });
    t.after(() => watch.close());
    const seconds = (outcome: string | undefined): void => {
      code = outcome;
      t.mock.timers.tick(3_000);
    };
    seconds(undefined);
    seconds('EACCES');
    assert.deepEqual(said, []);
    seconds('EMFILE');
    assert.deepEqual(said, [['error', { reason: 'EMFILE', limit: 64 }]]);
    seconds(undefined);
    assert.deepEqual(said.at(-1)?.[0], 'info');
    seconds('ENFILE');
    assert.deepEqual([said.length, said.at(-1)?.[1]], [3, { reason: 'ENFILE', limit: 64 }]);
    watch.close();
    seconds(undefined);
    assert.equal(said.length, 3);
  });
});
