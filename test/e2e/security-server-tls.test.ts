import assert from 'node:assert/strict';
import { after, before, describe, it } from 'node:test';

import { alice } from '../support/alice.ts';
import { cancelRequest, query as queryMessage } from '../support/bytes.ts';
import { makeCertificate } from '../support/certificates.ts';
import { inReverse } from '../support/cleanup.ts';
import { eventually } from '../support/eventually.ts';
import { LeakWatch } from '../support/leaks.ts';
import { MeddlingProxy } from '../support/meddling-proxy.ts';
import { Pgmirror, type PgmirrorFiles } from '../support/pgmirror.ts';
import { query, startTestPostgres, type RunningPostgres } from '../support/postgres.ts';
import { TemporaryFiles } from '../support/temporary-files.ts';
import { WireClient } from '../support/wire-client.ts';

const authority = makeCertificate({ name: 'authority' });
const serverCertificate = makeCertificate({
  name: 'postgres',
  hosts: ['localhost'],
  issuer: authority,
  hash: 'sha384',
});
const own = makeCertificate({ name: 'carol', issuer: authority });
const users = ['alice', 'bob', 'carol'].map((name) => ({ name, databases: ['app'], password: `${name}-password` }));
const whoIs = 'SELECT ssl FROM pg_stat_ssl WHERE pid = pg_backend_pid()';

/** alice comes over TLS alone, bob without TLS alone, carol with a certificate besides. */
const hba = [
  'hostnossl all alice all reject',
  'hostssl all bob all reject',
  'hostssl all carol all scram-sha-256 clientcert=verify-ca',
];

describe('TLS towards servers', () => {
  const cleanup = inReverse({ after });
  let files: TemporaryFiles;
  let source: RunningPostgres;
  let mirror: RunningPostgres;
  let ca: string;

  before(async () => {
    LeakWatch.during(cleanup);
    files = await TemporaryFiles.start(cleanup);
    ca = await files.write('root.crt', authority.certificate);
    [source, mirror] = await Promise.all([secured(), secured()]);
  });

  async function secured(): Promise<RunningPostgres> {
    const postgres = await startTestPostgres(cleanup, {
      settings: { ssl: 'on', ssl_ca_file: 'root.crt' },
      files: {
        'server.crt': serverCertificate.certificate,
        'server.key': serverCertificate.privateKey,
        'root.crt': authority.certificate,
      },
      hba,
    });
    for (const { name, password } of users) {
      await query(postgres.url('postgres'), `CREATE ROLE ${name} LOGIN PASSWORD '${password}'`);
    }
    await query(postgres.url('postgres'), 'CREATE TABLE noted (id int); GRANT ALL ON noted TO PUBLIC');
    return postgres;
  }

  async function started(
    scope: Parameters<typeof inReverse>[0],
    general: NonNullable<PgmirrorFiles['general']>,
    place: { host?: string; port?: number } = {},
  ): Promise<Pgmirror> {
    const { host = 'localhost', port = source.port } = place;
    const databases = [{ name: 'app', host, port, database_name: 'postgres' }];
    return Pgmirror.start(inReverse(scope), { general: { connect_timeout: 2_000, ...general }, databases, users });
  }

  const usesTls = async (pgmirror: Pgmirror, user: string): Promise<unknown> =>
    (await query<{ ssl: boolean }>(pgmirror.url('app', user), whoIs))[0]?.ssl;

  it('verifies the host it was told with verify_full', async (t) => {
    const pgmirror = await started(t, { tls_verify: 'verify_full', tls_server_ca_certificate: ca });
    assert.equal(await usesTls(pgmirror, 'alice'), true);
    const elsewhere = await started(
      t,
      { tls_verify: 'verify_full', tls_server_ca_certificate: ca },
      { host: '127.0.0.1' },
    );
    await assert.rejects(usesTls(elsewhere, 'alice'), /does not match certificate's altnames/);
  });

  it('verifies the authority, and not the host, with verify_ca', async (t) => {
    const pgmirror = await started(
      t,
      { tls_verify: 'verify_ca', tls_server_ca_certificate: ca },
      { host: '127.0.0.1' },
    );
    assert.equal(await usesTls(pgmirror, 'alice'), true);
    const other = await files.write('other.crt', makeCertificate({ name: 'other' }).certificate);
    const suspicious = await started(t, { tls_verify: 'verify_ca', tls_server_ca_certificate: other });
    await assert.rejects(usesTls(suspicious, 'alice'), /certificate/);
  });

  it('is used with require, and by default where the server has it; it is not with disabled', async (t) => {
    const requiring = await started(t, { tls_verify: 'require' });
    assert.equal(await usesTls(requiring, 'alice'), true);
    const preferring = await started(t, {});
    assert.equal(await usesTls(preferring, 'alice'), true);
    const without = await started(t, { tls_verify: 'disabled' });
    assert.equal(await usesTls(without, 'bob'), false);
    await assert.rejects(usesTls(without, 'alice'), /pg_hba/);
  });

  it('is done without, by default, where the server has no rule for it, and not with require', async (t) => {
    const preferring = await started(t, {});
    assert.equal(await usesTls(preferring, 'bob'), false);
    const requiring = await started(t, { tls_verify: 'require' });
    await assert.rejects(usesTls(requiring, 'bob'), /pg_hba/);
  });

  it('shows its own certificate where one is configured', async (t) => {
    const pgmirror = await started(t, {
      tls_verify: 'verify_full',
      tls_server_ca_certificate: ca,
      tls_server_certificate: await files.write('own.crt', own.certificate),
      tls_server_private_key: await files.write('own.key', own.privateKey),
    });
    assert.equal(await usesTls(pgmirror, 'carol'), true);
    const without = await started(t, { tls_verify: 'verify_full', tls_server_ca_certificate: ca });
    await assert.rejects(usesTls(without, 'carol'), /valid client certificate/);
  });

  it('that is configured otherwise by a reload holds for connections that are made from then on', async (t) => {
    const pgmirror = await started(t, {});
    assert.equal(await usesTls(pgmirror, 'bob'), false);
    await pgmirror.reload({ general: { tls_verify: 'require' } });
    await assert.rejects(usesTls(pgmirror, 'bob'), /pg_hba/);
    assert.equal(await usesTls(pgmirror, 'alice'), true);
  });

  it('protects a CancelRequest as it does the session', async (t) => {
    const proxy = await MeddlingProxy.start(inReverse(t), source);
    let inClear = 0;
    proxy.corrupt((chunk, direction) => {
      if (direction === 'toServer' && chunk.includes(cancelRequest(0, Buffer.alloc(4)).subarray(4, 8))) inClear++;
      return chunk;
    });
    const pgmirror = await started(t, { tls_verify: 'require' }, { port: proxy.port });
    const address = { host: '127.0.0.1', port: pgmirror.port };
    const client = await WireClient.login(address, alice);
    t.after(async () => client.destroy());
    await client.query('SELECT 1');
    const connections = proxy.connections;
    client.send(queryMessage('SELECT pg_sleep(30)'));
    const cancelled = client.readUntil('Z');
    await WireClient.cancel(address, client.processId, client.secretKey);
    assert.equal((await cancelled)[0]?.type === 'E' || (await cancelled).some(({ type }) => type === 'E'), true);
    assert.equal(proxy.connections, connections + 1);
    assert.equal(inClear, 0);
  });

  it('carries large answers and requests whole', async (t) => {
    const pgmirror = await started(t, { tls_verify: 'require' });
    const client = await WireClient.login({ host: '127.0.0.1', port: pgmirror.port }, alice);
    t.after(async () => client.destroy());
    client.socket.pause();
    client.send(queryMessage(`SELECT repeat('x', 1048576) FROM generate_series(1, 24)`));
    await eventually(() => client.socket.isPaused());
    client.socket.resume();
    const rows = (await client.readUntil('Z', 30_000)).filter(({ type }) => type === 'D');
    assert.ok(rows.length === 24 && rows.every(({ body }) => body.length === 1_048_576 + 6));
    const [, row] = await client.query(`SELECT length('${'y'.repeat(5_000_000)}')`);
    assert.equal(row?.body.toString('latin1', 6), '5000000');
  });

  it('holds for mirrors as well', async (t) => {
    const place = { host: 'localhost', database_name: 'postgres' };
    const pgmirror = await Pgmirror.start(inReverse(t), {
      general: { tls_verify: 'verify_full', tls_server_ca_certificate: ca },
      databases: [
        { name: 'app', port: source.port, ...place },
        { name: 'app_new', port: mirror.port, ...place },
      ],
      mirroring: [{ source_db: 'app', destination_db: 'app_new' }],
      users: [{ name: 'alice', databases: ['app', 'app_new'], password: 'alice-password' }],
    });
    await eventually(async () => {
      await query(pgmirror.url('app', 'alice'), 'INSERT INTO noted VALUES (1)');
      return (await query(mirror.url('postgres'), 'SELECT FROM noted')).length > 0;
    });
    const sessions = "FROM pg_stat_ssl JOIN pg_stat_activity USING (pid) WHERE usename = 'alice'";
    const [how] = await query<{ ssl: boolean }>(mirror.url('postgres'), `SELECT ssl ${sessions}`);
    assert.equal(how?.ssl, true);
  });

  it('holds for the plans of a query, too, and for those who ask for them', async (t) => {
    const database = (name: string, { port }: RunningPostgres) => ({
      name,
      host: 'localhost',
      port,
      database_name: 'postgres',
    });
    const both = users.filter(({ name }) => name === 'alice').map((user) => ({ ...user, databases: ['app', 'copy'] }));
    const pgmirror = await Pgmirror.start(inReverse(t), {
      databases: [database('app', source), database('copy', mirror)],
      mirroring: [{ source_db: 'app', destination_db: 'copy' }],
      users: both,
    });
    const fingerprint = await eventually(async () => {
      await query(pgmirror.url('app'), 'SELECT * FROM noted WHERE id = 7');
      const queries = await pgmirror.admin<{ fingerprint: string; query: string }>('SHOW QUERIES');
      return queries.find((row) => row.query.includes('noted'))?.fingerprint;
    });
    const plans = await pgmirror.admin<{ side: string; plan: string }>(`EXPLAIN ${fingerprint}`);
    const scans = plans.filter(({ plan }) => plan.includes('Scan on noted')).map(({ side }) => side);
    assert.deepEqual(scans, ['source', 'mirror'], JSON.stringify(plans));
  });
});
