import { once } from 'node:events';
import { createServer } from 'node:net';
import type { TestContext } from 'node:test';
import type { AdminAnswer } from '../../src/admin/admin-answer.ts';
import { AdminDatabase } from '../../src/admin/admin-database.ts';
import type { AdminHost, MirrorView } from '../../src/admin/admin-host.ts';
import { ClientSocket } from '../../src/net/client-socket.ts';
import { NO_COUNTS } from '../../src/supervisor/counter-book.ts';
import { load, TWO_DATABASES } from '../config/config-files.ts';
import { authenticationOk } from '../support/bytes.ts';
import { WireClient } from '../support/wire-client.ts';

const CONFIG = `
[general]
mirror_exposure = 0.5
${TWO_DATABASES}
[[databases]]
name = "käse"
host = "db"

[[mirroring]]
source_db = "app"
destination_db = "app_new"

[[mirroring]]
source_db = "app"
destination_db = "käse"
`;

/** A mirror as it stands, of which a test gives what matters to it. */
export function mirrorView(options: Partial<MirrorView> = {}): MirrorView {
  return {
    ...NO_COUNTS,
    source: 'app',
    destination: 'app_new',
    user: 'anna',
    state: 'up',
    reason: '',
    exposure: 1,
    lagMs: 0,
    latencyMs: undefined,
    ...options,
  };
}

/** A host that notes what it is asked to do. */
export function fakeHost(t: TestContext, options: Partial<AdminHost> = {}): AdminHost & { readonly calls: string[] } {
  const calls: string[] = [];
  const note =
    (name: string) =>
    async (...words: readonly unknown[]): Promise<void> =>
      void calls.push([name, ...words].join(' '));
  return {
    calls,
    config: load(t, CONFIG),
    version: '1.2.3',
    uptimeSeconds: 60,
    mirrors: () => Promise.resolve([mirrorView()]),
    queries: () => Promise.resolve([]),
    explain: () => Promise.resolve({ plans: [] }),
    threads: () => Promise.resolve([]),
    statistics: () => Promise.resolve(new Map()),
    reload: async () => {
      calls.push('reload');
      return { atNextStart: [], late: [] };
    },
    shutdown: () => void calls.push('shutdown'),
    setGeneral: async ({ key, value }) => void calls.push(`setGeneral ${key} ${value}`),
    setExposure: note('setExposure'),
    setEnabled: note('setEnabled'),
    resetMirror: note('resetMirror'),
    resetStats: note('resetStats'),
    pause: note('pause'),
    tellPools: (what, database) => void calls.push(`${what} ${database ?? 'all'}`),
    ...options,
  };
}

/** An admin database on a free port which lets everybody in; `run` answers its commands. */
export async function adminDatabase(
  t: TestContext,
  run: (command: string) => AdminAnswer | Promise<AdminAnswer>,
): Promise<{ port: number; database: AdminDatabase; ended: () => number }> {
  let ended = 0;
  const database = new AdminDatabase((command, answered) => void Promise.resolve(run(command)).then(answered));
  const server = createServer({ noDelay: true }, (socket) => {
    socket.once('data', () => {
      const client = new ClientSocket(socket);
      client.write(authenticationOk);
      const key = { processId: 4711, secretKey: '\x01\x02\x03\x04' };
      database.serve(client, undefined, key, Buffer.alloc(0), () => void ended++);
    });
  });
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  t.after(() => {
    database.destroy();
    server.close();
  });
  const address = server.address();
  return { port: typeof address === 'object' && address !== null ? address.port : 0, database, ended: () => ended };
}

/** A client that is logged in there. */
export async function adminClient(t: TestContext, port: number): Promise<WireClient> {
  const client = await WireClient.login({ host: '127.0.0.1', port }, { user: 'admin' });
  t.after(() => client.destroy());
  return client;
}
