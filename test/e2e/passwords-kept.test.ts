import assert from 'node:assert/strict';
import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { after, before, describe, it } from 'node:test';

import { inReverse } from '../support/cleanup.ts';
import { eventually } from '../support/eventually.ts';
import { inspectable, Inspector } from '../support/inspector.ts';
import { Pgmirror, databaseEntry } from '../support/pgmirror.ts';
import { createDatabase, query, startTestPostgres, type RunningPostgres } from '../support/postgres.ts';
import { TemporaryFiles } from '../support/temporary-files.ts';

const clientPassword = 'a-password-of-clients-alone';
const adminPassword = 'a-password-of-the-admin-alone';

describe('A password in plain text that no server login needs', () => {
  const cleaning = inReverse({ after });
  let server: RunningPostgres;

  before(async () => {
    server = await startTestPostgres(cleaning);
  });

  for (const thread of ['main', 'pooler 0']) {
    it(`is not in the memory of thread ${thread} any more when its verifier has been derived`, async (t) => {
      const cleanup = inReverse(t);
      const { user: owner, password } = server;
      const login = { server_user: owner, server_password: password };
      const files = {
        admin: { password: adminPassword },
        databases: [databaseEntry('app', server, await createDatabase(server))],
        users: [{ name: 'alice', database: 'app', password: clientPassword, ...login }],
      };
      const pgmirror = await Pgmirror.start(cleanup, files, { env: inspectable });
      await query(pgmirror.url('app', 'alice', clientPassword), 'SELECT 1');
      await pgmirror.admin('RELOAD');

      const { folder } = await TemporaryFiles.start(cleanup);
      const file = join(folder, 'memory.heapsnapshot');
      const code = `process.getBuiltinModule('node:v8').writeHeapSnapshot(${JSON.stringify(file)})`;
      const inspector = await Inspector.open(cleanup, pgmirror, pgmirror.processId);
      await (thread === 'main' ? inspector.run(code) : inspector.runInThread(thread, code));
      const memory = await eventually(
        async () => {
          const text = await readFile(file, 'utf8');
          return text.trimEnd().endsWith('}') && text;
        },
        { timeoutMs: 60_000, what: 'a picture of the memory' },
      );
      assert.ok(memory.includes(password), 'what is needed is there');
      assert.deepEqual([memory.includes(clientPassword), memory.includes(adminPassword)], [false, false]);
    });
  }
});
