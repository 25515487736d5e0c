import assert from 'node:assert/strict';
import { existsSync, readdirSync } from 'node:fs';
import { describe, it } from 'node:test';
import { projectFile, textOf } from './documents.ts';

const text = textOf('docs/security.md');

const sources = (folder: string): string[] => readdirSync(projectFile(folder)).map((name) => `${folder}/${name}`);

describe('docs/security.md', () => {
  it('names a test for every point, or says why there is none', () => {
    const bare = text
      .split(/^### /m)
      .slice(1)
      .filter((part) => !/^- `/m.test(part) && !/Not (?:here|yet):/.test(part));
    assert.deepEqual(
      bare.map((part) => part.slice(0, part.indexOf('\n'))),
      [],
    );
  });

  it('names tests that there are', () => {
    const lines = text.split('\n').filter((line) => /^- `[\w/.-]+\.test\.ts`/.test(line));
    assert.ok(lines.length > 50);
    const missing = lines.filter((line) => {
      const [, file = '', title = ''] = /^- `([\w/.-]+)`: "(.+)"$/.exec(line) ?? [];
      const path = `test/${file}`;
      return file === '' || !existsSync(projectFile(path)) || !textOf(path).includes(title);
    });
    assert.deepEqual(missing, []);
  });

  it('compares secrets in constant time wherever it compares them', () => {
    for (const file of [
      'auth/verify-client',
      'auth/user-secret',
      'auth/scram-server',
      'auth/scram-client',
      'protocol/cancel-key',
    ]) {
      assert.match(textOf(`src/${file}.ts`), /timingSafeEqual\(/, file);
    }
    assert.match(textOf('src/protocol/cancel-key.ts'), /timingSafeEqual\(secretBytes\(one\), secretBytes\(other\)\)/);
    const cancelled = ['src/pooler/clients.ts', 'src/admin/admin-database.ts'];
    for (const file of cancelled) assert.match(textOf(file), /isSameKey\([\w.#]+, key\)/, file);
    // A salt is no secret.
    for (const file of sources('src/auth').concat(cancelled, 'src/protocol/cancel-key.ts')) {
      const quick = textOf(file).match(/[\w.?!]*(?:\.equals|\bcompare)\(/g) ?? [];
      assert.deepEqual(
        quick.filter((call) => !/\bsalt\.equals\($/.test(call)),
        [],
        file,
      );
    }
  });
});
