import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import type { TestContext } from 'node:test';
import type { QueryReport } from '../../src/mirror/report/query-report.ts';
import { QueryPlans } from '../../src/supervisor/query-plans.ts';
import { load } from '../config/config-files.ts';
import { commandComplete, dataRow, readyForQuery, rowDescription, terminate } from '../support/bytes.ts';
import {
  acceptLogin,
  expectBytes,
  expectQuery,
  ScriptedPostgres,
  send,
  waitForClose,
} from '../support/scripted-postgres.ts';
import type { Step } from '../support/scripted-postgres.ts';

const FINGERPRINT = '0123456789abcdef';
const QUERY = { source: 'app', destination: 'app_new', fingerprint: FINGERPRINT, query: 'SELECT $1 + $2' };

const answer = (column: string, text: string): Step =>
  send(rowDescription(column), dataRow(text), commandComplete('SELECT 1'), readyForQuery('I'));

/** Plans for a configuration whose source and mirror are the server. */
function plansFrom(t: TestContext, { port }: ScriptedPostgres): QueryPlans {
  const config = load(
    t,
    `[general]
     tls_verify = "disabled"
     [[databases]]
     name = "app"
     host = "127.0.0.1"
     port = ${port}
     [[databases]]
     name = "app_new"
     host = "127.0.0.1"
     port = ${port}
     [[mirroring]]
     source_db = "app"
     destination_db = "app_new"`,
    `[[users]]
     name = "anna"
     password = "secret"
     all_databases = true`,
  );
  return new QueryPlans(() => config);
}

describe('the plans of a query', () => {
  it('are those of both sides', async (t) => {
    const server = await ScriptedPostgres.start(t, [
      acceptLogin(),
      expectQuery('SHOW server_version_num'),
      answer('server_version_num', '160004'),
      expectQuery('BEGIN READ ONLY'),
      send(commandComplete('BEGIN'), readyForQuery('T')),
      expectQuery('EXPLAIN (GENERIC_PLAN) SELECT $1 + $2'),
      answer('QUERY PLAN', 'Result  (cost=0.00..0.01 rows=1 width=4)'),
      expectBytes(terminate),
      waitForClose(),
    ]);
    const lines = ['Result  (cost=0.00..0.01 rows=1 width=4)'];
    assert.deepEqual(await plansFrom(t, server).of(FINGERPRINT, [QUERY as QueryReport]), {
      plans: [
        { side: 'source', database: 'app', lines },
        { side: 'mirror', database: 'app_new', lines },
      ],
    });
    await server.finished();
  });

  it('need PostgreSQL 16, which is said to one that is older instead of asking it', async (t) => {
    const server = await ScriptedPostgres.start(t, [
      acceptLogin(),
      expectQuery('SHOW server_version_num'),
      answer('server_version_num', '150012'),
      expectBytes(terminate),
      waitForClose(),
    ]);
    const told = await plansFrom(t, server).of(FINGERPRINT, [QUERY as QueryReport]);
    assert.deepEqual('plans' in told && told.plans.map(({ lines }) => lines), [
      ['no plan: needs PostgreSQL 16 (GENERIC_PLAN), this is 15'],
      ['no plan: needs PostgreSQL 16 (GENERIC_PLAN), this is 15'],
    ]);
    await server.finished();
  });
});
