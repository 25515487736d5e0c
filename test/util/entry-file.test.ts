import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { entryFile } from '../../src/util/entry-file.ts';

describe('the file of an entry', () => {
  it('is a .ts of the sources, or a .js beside the file that asks where all were put in one folder', () => {
    assert.equal(
      entryFile('./pooler-thread', 'file:///app/src/supervisor/threads.ts'),
      '/app/src/supervisor/pooler-thread.ts',
    );
    assert.equal(entryFile('../a/b', 'file:///app/dist/chunk.js'), '/app/dist/b.js');
  });

  it('is a path, whatever the folder is called', () => {
    assert.equal(entryFile('./x', 'file:///my%20app/%C3%BC/y.ts'), '/my app/ü/x.ts');
  });
});
