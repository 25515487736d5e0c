import assert from 'node:assert/strict';
import { existsSync } from 'node:fs';
import { describe, it } from 'node:test';
import { projectFile, textOf } from './documents.ts';

const text = textOf('docs/hazards.md');
const HAZARDS = 38;

describe('docs/hazards.md', () => {
  it('has every hazard once', () => {
    const numbers = [...text.matchAll(/^### (\d+)\. /gm)].map(([, number]) => Number(number));
    assert.deepEqual(
      numbers.toSorted((a, b) => a - b),
      Array.from({ length: HAZARDS }, (_, index) => index + 1),
    );
  });

  it('names a test for every hazard, and leaves nothing for later', () => {
    const bare = text
      .split(/^### /m)
      .slice(1)
      .filter((part) => !/^- `/m.test(part) || part.includes('Not yet:'));
    assert.deepEqual(
      bare.map((part) => part.slice(0, part.indexOf('\n'))),
      [],
    );
  });

  it('names tests that there are', () => {
    const lines = text.split('\n').filter((line) => line.startsWith('- `'));
    assert.ok(lines.length > HAZARDS);
    const missing = lines.filter((line) => {
      const [, file = '', title = ''] = /^- `([\w/.-]+)`: "(.+)"$/.exec(line) ?? [];
      const path = `test/${file}`;
      return file === '' || !existsSync(projectFile(path)) || !textOf(path).includes(title);
    });
    assert.deepEqual(missing, []);
  });
});
