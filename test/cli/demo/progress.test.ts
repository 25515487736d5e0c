import assert from 'node:assert/strict';
import { describe, it } from 'node:test';

import { figuresOf } from '../../../src/cli/demo/mirror-figures.ts';
import { grouped, Progress } from '../../../src/cli/demo/progress.ts';

const figures = figuresOf([{ mirrored_count: '1200', dropped_count: '1', queue_length: '4', lag_ms: '12' }]);

function shown(isTTY: boolean): string {
  let text = '';
  const progress = new Progress({ isTTY, columns: 100, write: (more) => (text += more) }, 4);
  progress.show(1, 1205, figures);
  progress.show(2, 2410, figures);
  return text;
}

describe('Progress', () => {
  it('writes a line a second where there is no terminal', () => {
    const [header, ...lines] = shown(false).trimEnd().split('\n');
    assert.match(header ?? '', /time {3}client transactions {2,}mirrored {2,}dropped {2,}queue {2,}lag$/);
    assert.deepEqual(
      lines.map((line) => line.trim().split(/ {2,}/)),
      [
        ['1 s', '1 205', '1 200', '1', '4', '12 ms'],
        ['2 s', '2 410', '1 200', '1', '4', '12 ms'],
      ],
    );
    assert.equal(lines[0]?.length, header?.length);
  });

  it('writes over its line on a terminal, with a bar', () => {
    const [, first, second] = shown(true).split('\n');
    assert.match(first ?? '', /12 ms {3}█{5}░{15}$/);
    assert.ok(second?.startsWith('\u001B[1A\u001B[2K'));
    assert.match(second ?? '', /█{10}░{10}$/);
  });
});

describe('grouped', () => {
  it('sets thousands apart', () => {
    assert.deepEqual([0, 999, 1000, 1234567, 12.6].map(grouped), ['0', '999', '1 000', '1 234 567', '13']);
  });
});
