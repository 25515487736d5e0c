import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { chmodSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, before, describe, it } from 'node:test';

import { freePort } from '../../src/cli/embedded/free-port.ts';
import { inReverse } from '../support/cleanup.ts';
import { eventually } from '../support/eventually.ts';
import { LeakWatch } from '../support/leaks.ts';
import { Pgmirror } from '../support/pgmirror.ts';
import { withClient } from '../support/postgres.ts';
import { findProgram, skipWithout } from '../support/programs.ts';

const shows = ['POOLS', 'CLIENTS', 'SERVERS', 'STATS', 'STATS_TOTALS', 'STATS_AVERAGES', 'DATABASES', 'USERS', 'LISTS'];
const more = ['CONFIG', 'VERSION'];
/** Columns that PgBouncer has had since under another name. */
const renamed: Readonly<Record<string, string>> = { reserve_pool: 'reserve_pool_size' };

/** What PgBouncer 1.25 shows, in its order. */
const names: Readonly<Record<string, string>> = {
  POOLS:
    'database user cl_active cl_waiting cl_active_cancel_req cl_waiting_cancel_req sv_active sv_active_cancel sv_being_canceled ' +
    'sv_idle sv_used sv_tested sv_login maxwait maxwait_us pool_mode load_balance_hosts',
  SERVERS:
    'type user database replication state addr port local_addr local_port connect_time request_time wait wait_us close_needed ' +
    'ptr link remote_pid tls application_name prepared_statements id',
  STATS_TOTALS:
    'database server_assignment_count xact_count query_count bytes_received bytes_sent xact_time query_time wait_time ' +
    'client_parse_count server_parse_count bind_count',
  DATABASES:
    'name host port database force_user pool_size min_pool_size reserve_pool_size server_lifetime pool_mode load_balance_hosts ' +
    'max_connections current_connections max_client_connections current_client_connections paused disabled',
  USERS:
    'name pool_size reserve_pool_size pool_mode max_user_connections current_connections max_user_client_connections ' +
    'current_client_connections',
  LISTS: 'list items',
  CONFIG: 'key value default changeable',
  VERSION: 'version',
};

/** Types of columns that PgBouncer got after the version that machines have installed. */
const newer: Readonly<Record<string, readonly string[]>> = {
  POOLS: ['cl_active_cancel_req 23', 'sv_being_canceled 23', 'load_balance_hosts 25'],
  SERVERS: ['replication 25', 'prepared_statements 23', 'id 23'],
  CLIENTS: ['replication 25', 'prepared_statements 23', 'id 23'],
  STATS: ['total_server_assignment_count 1700', 'total_client_parse_count 1700', 'avg_bind_count 1700'],
  STATS_TOTALS: ['server_assignment_count 1700', 'client_parse_count 1700', 'bind_count 1700'],
  DATABASES: ['server_lifetime 23', 'load_balance_hosts 25', 'max_client_connections 23', 'paused 23'],
  USERS: ['pool_size 25', 'reserve_pool_size 25', 'max_user_connections 23', 'current_client_connections 23'],
};

type Columns = Readonly<Record<string, readonly string[]>>;

/** Every table's columns, each with its type. */
async function columnsOf(url: string): Promise<Columns> {
  return withClient(url, async (client) => {
    const found: Record<string, string[]> = {};
    for (const table of [...shows, ...more]) {
      const { fields } = await client.query(`SHOW ${table}`);
      found[table] = fields.map(({ name, dataTypeID }) => `${renamed[name] ?? name} ${dataTypeID}`);
    }
    return found;
  });
}

describe('What PgBouncer shows, pgmirror shows', () => {
  const cleanup = inReverse({ after });
  let pgmirror: Pgmirror;

  before(async () => {
    LeakWatch.during(cleanup);
    const databases = [{ name: 'app', host: '127.0.0.1', port: 1 }];
    pgmirror = await Pgmirror.start(cleanup, { databases, users: [{ name: 'alice', password: 'x', database: 'app' }] });
  });

  const url = (): string => pgmirror.url('pgbouncer', 'admin', 'admin-password');

  it('under the names of its version 1.25', async () => {
    const ours = await columnsOf(url());
    for (const [table, columns] of Object.entries(names)) {
      assert.deepEqual(
        ours[table]?.map((column) => column.replace(/ \d+$/, '')),
        columns.split(' '),
        table,
      );
    }
    const clients = ours.CLIENTS?.map((column) => column.replace(/ \d+$/, ''));
    assert.deepEqual(clients, [...(names.SERVERS ?? '').split(' '), 'pinned']);
    const [totals, averages] = [ours.STATS?.slice(1, 12), ours.STATS?.slice(12)];
    const measures = 'server_assignment_count xact_count query_count received sent xact_time query_time wait_time';
    const counted = [...measures.split(' '), 'client_parse_count', 'server_parse_count', 'bind_count'];
    assert.deepEqual(
      totals,
      counted.map((name) => `total_${name} 1700`),
    );
    assert.deepEqual(
      averages,
      counted.map((name) => `avg_${name === 'received' ? 'recv' : name} 1700`),
    );
  });

  it('with the types of its version 1.25', async () => {
    const ours = await columnsOf(url());
    for (const [table, columns] of Object.entries(newer)) {
      const missing = columns.filter((column) => ours[table]?.includes(column) !== true);
      assert.deepEqual(missing, [], table);
    }
  });

  it('and counts what it counts in SHOW LISTS', async () => {
    const lists = await pgmirror.admin<{ list: string }>('SHOW LISTS');
    assert.deepEqual(
      lists.map(({ list }) => list),
      [
        ...['databases', 'users', 'peers', 'pools', 'peer_pools', 'free_clients', 'used_clients', 'login_clients'],
        ...['free_servers', 'used_servers', 'dns_names', 'dns_zones', 'dns_queries', 'dns_pending'],
      ],
    );
  });

  it('with the values that its exporters look for in SHOW CONFIG', async () => {
    const config = await pgmirror.admin<{ key: string; value: string }>('SHOW CONFIG');
    const value = (name: string): string | undefined => config.find(({ key }) => key === name)?.value;
    assert.deepEqual([value('max_client_conn'), value('max_user_connections')], ['1000', '0']);
    assert.deepEqual([value('pool_mode'), value('listen_port')], ['transaction', String(pgmirror.port)]);
  });

  const pgbouncer = findProgram('pgbouncer');
  it('with the types that the installed one has', { skip: skipWithout('pgbouncer') }, async (t) => {
    const folder = mkdtempSync(join(tmpdir(), 'pgbouncer-'));
    chmodSync(folder, 0o755);
    const port = await freePort();
    const settings = [
      '[databases]',
      'app = host=127.0.0.1 port=1',
      '[pgbouncer]',
      'listen_addr = 127.0.0.1',
      `listen_port = ${port}`,
      'auth_type = any',
      'unix_socket_dir =',
      'ignore_startup_parameters = extra_float_digits',
    ];
    writeFileSync(join(folder, 'pgbouncer.ini'), settings.join('\n'), { mode: 0o644 });
    const asOther = process.getuid?.() === 0 ? ['-u', 'nobody'] : [];
    const child = spawn(pgbouncer ?? '', ['-q', ...asOther, join(folder, 'pgbouncer.ini')], { stdio: 'ignore' });
    const exited = once(child, 'exit');
    t.after(async () => {
      child.kill('SIGKILL');
      await exited;
      rmSync(folder, { recursive: true });
    });
    const theirs = await eventually(async () => columnsOf(`postgres://admin@127.0.0.1:${port}/pgbouncer`));
    const ours = await columnsOf(url());
    for (const [table, columns] of Object.entries(theirs)) {
      assert.deepEqual(
        ours[table]?.filter((column) => columns.includes(column)),
        columns,
        table,
      );
    }
  });
});
