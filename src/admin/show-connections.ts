import type { AdminAnswer, AdminColumn, AdminValue } from './admin-answer.ts';
import type { AdminHost } from './admin-host.ts';

/** The columns that PgBouncer shows of clients and servers alike. */
const columns: readonly AdminColumn[] = [
  { name: 'type', type: 'text' },
  { name: 'user', type: 'text' },
  { name: 'database', type: 'text' },
  { name: 'replication', type: 'text' },
  { name: 'state', type: 'text' },
  { name: 'addr', type: 'text' },
  { name: 'port', type: 'int4' },
  { name: 'local_addr', type: 'text' },
  { name: 'local_port', type: 'int4' },
  { name: 'connect_time', type: 'text' },
  { name: 'request_time', type: 'text' },
  { name: 'wait', type: 'int4' },
  { name: 'wait_us', type: 'int4' },
  { name: 'close_needed', type: 'int4' },
  { name: 'ptr', type: 'text' },
  { name: 'link', type: 'text' },
  { name: 'remote_pid', type: 'int4' },
  { name: 'tls', type: 'text' },
  { name: 'application_name', type: 'text' },
  { name: 'prepared_statements', type: 'int4' },
  { name: 'id', type: 'int4' },
];

/**
 * SHOW CLIENTS. `id` is the process id the client was given, `link` that of its server connection; `pinned` says why it keeps
 * that one, where it does.
 */
export async function showClients(host: AdminHost): Promise<AdminAnswer> {
  const clients = (await host.threads({ connections: true })).flatMap((thread) => thread.clients);
  const rows = clients.map((client) =>
    row({
      type: 'C',
      user: client.user,
      database: client.database,
      replication: client.replication,
      state: client.state,
      addr: client.address,
      port: client.port,
      connect_time: timeOf(client.connectedAt),
      wait: Math.floor(client.waits / 1000),
      wait_us: Math.floor((client.waits % 1000) * 1000),
      link: client.server === 0 ? '' : String(client.server),
      tls: client.tls,
      application_name: client.applicationName,
      prepared_statements: client.preparedStatements,
      ptr: String(client.processId),
      id: client.processId,
    }).concat(client.pins.join(', ')),
  );
  return { kind: 'rows', tag: 'SHOW', columns: [...columns, { name: 'pinned', type: 'text' }], rows };
}

/** SHOW SERVERS. `remote_pid` and `id` are the process id on the server, `link` the `id` of the client that has it. */
export async function showServers(host: AdminHost): Promise<AdminAnswer> {
  const servers = (await host.threads({ connections: true })).flatMap((thread) => thread.servers);
  const rows = servers.map((server) =>
    row({
      type: 'S',
      user: server.user,
      database: server.database,
      replication: server.replication,
      state: server.state,
      addr: server.host,
      port: server.port,
      connect_time: timeOf(server.connectedAt),
      link: server.client === 0 ? '' : String(server.client),
      remote_pid: server.processId,
      tls: server.tls,
      application_name: server.applicationName,
      prepared_statements: server.preparedStatements,
      ptr: String(server.processId),
      id: server.processId,
    }),
  );
  return { kind: 'rows', tag: 'SHOW', columns, rows };
}

/** Values by column name; a column that is not given is empty, or 0. */
function row(values: Readonly<Record<string, AdminValue>>): AdminValue[] {
  return columns.map(({ name, type }) => values[name] ?? (type === 'text' ? '' : 0));
}

function timeOf(milliseconds: number): string {
  return `${new Date(milliseconds).toISOString().slice(0, 19).replace('T', ' ')} UTC`;
}
