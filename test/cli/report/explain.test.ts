import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { explainOverAdmin, plansText } from '../../../src/cli/report/explain.ts';
import { loadConfig } from '../../../src/config/load-config.ts';
import { load, TWO_DATABASES } from '../../config/config-files.ts';
import { int32, msg } from '../../support/bytes.ts';
import { makeCertificate } from '../../support/certificates.ts';
import { inReverse } from '../../support/cleanup.ts';
import { Pgmirror } from '../../support/pgmirror.ts';
import { expectStartup, ScriptedPostgres } from '../../support/scripted-postgres.ts';
import { TemporaryFiles } from '../../support/temporary-files.ts';

describe('plans on a terminal', () => {
  it('are shown side by side of servers, whatever a query has named its tables', () => {
    const plan = { side: 'source', database: 'app' };
    const rows = [
      { ...plan, plan: 'Nested Loop' },
      { ...plan, plan: '  ->  Seq Scan on t "\u001b]0;owned\u0007"' },
      { side: 'mirror', database: 'copy', plan: 'Result' },
    ];
    assert.equal(
      plansText(rows),
      'source app\n  Nested Loop\n    ->  Seq Scan on t " ]0;owned "\n\nmirror copy\n  Result\n',
    );
  });
});

describe('asking a running instance for plans', () => {
  it('shows the admin’s password to nobody, whoever listens there', async (t) => {
    const heard: string[] = [];
    const somebody = await ScriptedPostgres.start(t, [
      expectStartup({ user: 'admin' }),
      async (peer) => {
        peer.send(msg('R', int32(3)));
        await peer.waitForClose();
        heard.push(peer.unread.toString('latin1'));
      },
    ]);
    const config = load(
      t,
      `[general]\nport = ${somebody.port}\n[admin]\npassword = "admin-password"\n${TWO_DATABASES}`,
    );
    const asked = explainOverAdmin(config, 'admin-password', '0123456789abcdef');
    await assert.rejects(asked, /the server asks for the password itself, which is not sent to anybody/);
    await somebody.finished();
    assert.doesNotMatch(heard.join(), /admin-password/);
    assert.ok(heard.length > 0);
  });

  it('goes over TLS, where an instance lets in nobody without', async (t) => {
    const test = inReverse(t);
    const files = await TemporaryFiles.start(test);
    const { certificate, privateKey } = makeCertificate({ name: 'server', hosts: ['localhost'] });
    const general = {
      tls_certificate: await files.write('server.crt', certificate),
      tls_private_key: await files.write('server.key', privateKey),
      tls_client_required: true,
    };
    const pgmirror = await Pgmirror.start(test, { general, databases: [{ name: 'app', host: '127.0.0.1', port: 1 }] });
    await assert.rejects(pgmirror.admin('SHOW VERSION'), 'not without TLS');
    const config = loadConfig(pgmirror.paths, {});
    const asked = explainOverAdmin(config, 'admin-password', '0123456789abcdef');
    await assert.rejects(asked, { code: '42704', message: 'no query has the fingerprint "0123456789abcdef"' });
  });
});
