import assert from 'node:assert/strict';
import { existsSync } from 'node:fs';
import { describe, it } from 'node:test';
import { projectFile, tableRows, textOf } from './documents.ts';

const text = textOf('docs/comparison.md');
const rows = tableRows(text).filter(([first]) => first !== 'There you can');

describe('docs/comparison.md', () => {
  it('has rows for every system', () => {
    const parts = text.split(/^## /m).slice(1);
    const names = parts.map((part) => part.slice(0, part.indexOf('\n')));
    for (const name of ['PgDog', 'Traefik', 'JetProxy', 'nginx', 'Istio and Envoy', 'GoReplay']) {
      assert.ok(names.includes(name), name);
    }
    for (const part of parts) assert.ok(part.startsWith('Not here') || tableRows(part).length >= 2, part.slice(0, 20));
  });

  it('names settings and commands that there are', () => {
    const known = ['docs/configuration.md', 'README.md'].map(textOf).join('\n');
    const missing = rows.flatMap(([, here = '']) =>
      [...here.matchAll(/`([^`]+)`/g)].flatMap(([, name = '']) => (known.includes(wordOf(name)) ? [] : [name])),
    );
    assert.deepEqual(missing, []);
  });

  it('names a test that there is in every row', () => {
    const missing = rows.filter(([, , shown = '']) => {
      const [, file = '', title = ''] = /^`([\w/.-]+)`: "(.+)"$/.exec(shown) ?? [];
      const path = `test/${file}`;
      return file === '' || !existsSync(projectFile(path)) || !textOf(path).includes(title);
    });
    assert.ok(rows.length >= 30, `${rows.length} rows`);
    assert.deepEqual(missing, []);
  });
});

/** Of a command with arguments, its beginning. */
function wordOf(name: string): string {
  return name.split(' …')[0] ?? name;
}
