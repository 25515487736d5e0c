import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import type { TestContext } from 'node:test';
import { Client } from 'pg';
import type { AdminAnswer } from '../../src/admin/admin-answer.ts';
import { runAdminCommand } from '../../src/admin/admin-commands.ts';
import {
  bind,
  close,
  commandComplete,
  cstr,
  dataRow,
  describe as describeMessage,
  execute,
  flush,
  int16,
  int32,
  msg,
  parse,
  query,
  readyForQuery,
  sync,
  terminate,
} from '../support/bytes.ts';
import { eventually } from '../support/eventually.ts';
import type { WireClient } from '../support/wire-client.ts';
import { adminClient, adminDatabase, fakeHost } from './admin-bench.ts';

const ROWS: AdminAnswer = {
  kind: 'rows',
  tag: 'SHOW',
  columns: [
    { name: 'name', type: 'text' },
    { name: 'count', type: 'int8' },
    { name: 'share', type: 'float8' },
    { name: 'on', type: 'bool' },
    { name: 'port', type: 'int4' },
  ],
  rows: [
    ['käse', 12, 0.25, true, 5432],
    [null, 0, 1, false, 0],
  ],
};

function column(name: string, type: number, size: number): Buffer {
  return Buffer.concat([cstr(name), int32(0), int16(0), int32(type), int16(size), int32(-1), int16(0)]);
}

const DESCRIPTION = msg(
  'T',
  int16(5),
  ...[
    column('name', 25, -1),
    column('count', 20, 8),
    column('share', 701, 8),
    column('on', 16, 1),
    column('port', 23, 4),
  ],
);
const DATA = [dataRow('käse', '12', '0.25', 't', '5432'), dataRow(null, '0', '1', 'f', '0')];
const ANSWER = [DESCRIPTION, ...DATA, commandComplete('SHOW')];
const READY = readyForQuery('I');
const DONE: AdminAnswer = { kind: 'done', tag: 'RELOAD' };
const ERROR: AdminAnswer = { kind: 'error', code: '42601', message: 'unknown command: x', hint: 'Commands are …' };
const ERROR_RESPONSE = msg(
  'E',
  ...['SERROR', 'VERROR', 'C42601', 'Munknown command: x', 'HCommands are …'].map(cstr),
  Buffer.from([0]),
);
const [PARSED, BOUND, CLOSED, NO_DATA, EMPTY] = ['1', '2', '3', 'n', 'I'].map((type) => msg(type)) as [
  Buffer,
  Buffer,
  Buffer,
  Buffer,
  Buffer,
];
const NO_PARAMETERS = msg('t', int16(0));

/** Answers by the command's first word, and notes what was run. */
async function start(t: TestContext) {
  const ran: string[] = [];
  const admin = await adminDatabase(t, (command) => {
    ran.push(command);
    if (/^show/i.test(command)) return ROWS;
    return /^reload/i.test(command) ? DONE : ERROR;
  });
  return { ran, ...admin, client: await adminClient(t, admin.port) };
}

async function told(client: WireClient, ...messages: readonly Buffer[]): Promise<void> {
  const expected = Buffer.concat(messages);
  const received = await client.readBytes(expected.length);
  assert.equal(received.toString('latin1'), expected.toString('latin1'));
  assert.equal(client.unread.length, 0);
}

describe('the admin database', () => {
  it('greets with what clients expect to be told', async (t) => {
    const { client } = await start(t);
    assert.equal(client.parameters.get('client_encoding'), 'UTF8');
    assert.equal(client.parameters.get('standard_conforming_strings'), 'on');
    assert.match(client.parameters.get('server_version') ?? '', /^\d+/);
    assert.deepEqual([client.processId, client.secretKey], [4711, Buffer.from([1, 2, 3, 4])]);
  });

  it('ends with its client, once, whatever way that goes', async (t) => {
    const { client, port, ended, database } = await start(t);
    client.send(terminate);
    await client.waitForClose();
    assert.equal(ended(), 1);
    const other = await adminClient(t, port);
    await other.reset();
    await eventually(() => ended() === 2);
    const third = await adminClient(t, port);
    database.destroy();
    await third.waitForClose();
    assert.equal(ended(), 3);
  });
});

describe('the simple query flow of the admin database', () => {
  it('answers with rows, types and a tag', async (t) => {
    const { client } = await start(t);
    client.send(query('SHOW x'));
    await told(client, ...ANSWER, READY);
  });

  it('answers commands of one text in their order, up to the first error', async (t) => {
    const { client, ran } = await start(t);
    client.send(query(' SHOW x; RELOAD ;; nonsense; RELOAD'));
    await told(client, ...ANSWER, commandComplete('RELOAD'), ERROR_RESPONSE, READY);
    assert.deepEqual(ran, ['SHOW x', 'RELOAD', 'nonsense']);
  });

  it('answers a text without a command', async (t) => {
    const { client } = await start(t);
    for (const text of ['', ' ; ', '-- SHOW x']) {
      client.send(query(text));
      await told(client, EMPTY, READY);
    }
  });

  it('runs one command at a time: what is sent meanwhile waits', async (t) => {
    const gates = [Promise.withResolvers<AdminAnswer>(), Promise.withResolvers<AdminAnswer>()];
    const ran: string[] = [];
    const { port } = await adminDatabase(t, (command) => {
      ran.push(command);
      return gates[ran.length - 1]!.promise;
    });
    const client = await adminClient(t, port);
    client.send(query('RELOAD one'), query('RELOAD two'));
    await eventually(() => ran.length === 1);
    gates[0]!.resolve(DONE);
    await told(client, commandComplete('RELOAD'), READY);
    assert.deepEqual(ran, ['RELOAD one', 'RELOAD two']);
    gates[1]!.resolve(ERROR);
    await told(client, ERROR_RESPONSE, READY);
  });

  it('takes a query byte by byte', async (t) => {
    const { client } = await start(t);
    for (const byte of query('RELOAD')) client.send(Buffer.from([byte]));
    await told(client, commandComplete('RELOAD'), READY);
  });

  it('tells a notice before its tag', async (t) => {
    const { port } = await adminDatabase(t, () => ({ kind: 'done', tag: 'SET', notice: 'at the next start' }));
    const client = await adminClient(t, port);
    client.send(query('SET x'));
    const notice = ['SNOTICE', 'VNOTICE', 'C00000', 'Mat the next start'].map(cstr);
    await told(client, msg('N', ...notice, Buffer.from([0])), commandComplete('SET'), READY);
  });
});

describe('the extended query flow of the admin database', () => {
  it('answers as PostgreSQL does', async (t) => {
    const { client } = await start(t);
    client.send(parse('s', 'SHOW x'), describeMessage('S', 's'), sync);
    await told(client, PARSED, NO_PARAMETERS, DESCRIPTION, READY);
    client.send(bind('p', 's'), describeMessage('P', 'p'), execute('p'), close('P', 'p'), close('S', 's'), sync);
    await told(client, BOUND, DESCRIPTION, ...DATA, commandComplete('SHOW'), CLOSED, CLOSED, READY);
  });

  it('runs what is described and executed once, where the portal is described', async (t) => {
    const { client, ran } = await start(t);
    client.send(parse('', 'SHOW x'), bind('', ''), describeMessage('P', ''), execute(''), sync);
    await told(client, PARSED, BOUND, DESCRIPTION, ...DATA, commandComplete('SHOW'), READY);
    assert.deepEqual(ran, ['SHOW x']);
  });

  it('does not run to describe what does something', async (t) => {
    const { client, ran } = await start(t);
    client.send(parse('', 'RELOAD'), describeMessage('S', ''), bind('', ''), describeMessage('P', ''), flush);
    await told(client, PARSED, NO_PARAMETERS, NO_DATA, BOUND, NO_DATA);
    assert.deepEqual(ran, []);
    client.send(execute(''), sync);
    await told(client, commandComplete('RELOAD'), READY);
    assert.deepEqual(ran, ['RELOAD']);
  });

  it('answers an empty command', async (t) => {
    const { client } = await start(t);
    client.send(parse('', ''), bind('', ''), describeMessage('P', ''), execute(''), sync);
    await told(client, PARSED, BOUND, NO_DATA, EMPTY, READY);
  });

  it('takes a command with the semicolon that people write behind it', async (t) => {
    const { client, ran } = await start(t);
    client.send(parse('', ' RELOAD ; '), bind('', ''), execute(''), sync);
    await told(client, PARSED, BOUND, commandComplete('RELOAD'), READY);
    assert.deepEqual(ran, ['RELOAD']);
  });

  it('skips what follows an error up to the Sync', async (t) => {
    const { client, ran } = await start(t);
    client.send(parse('', 'nonsense'), bind('', ''), execute(''), execute(''), query('RELOAD'), sync, query('RELOAD'));
    await told(client, PARSED, BOUND, ERROR_RESPONSE, READY, commandComplete('RELOAD'), READY);
    assert.deepEqual(ran, ['nonsense', 'RELOAD']);
  });

  const unknown: readonly (readonly [string, Buffer, string])[] = [
    ['Bind of an unknown statement', bind('', 's'), '26000'],
    ['Describe of an unknown statement', describeMessage('S', 's'), '26000'],
    ['Describe of an unknown portal', describeMessage('P', 'p'), '34000'],
    ['Execute of an unknown portal', execute('p'), '34000'],
  ];
  for (const [what, message, code] of unknown) {
    it(`refuses what is not there: ${what}`, async (t) => {
      const { client } = await start(t);
      client.send(message, execute(''), sync);
      const [error] = await client.expect('E', 'Z');
      assert.ok(error!.body.includes(`\0C${code}\0`));
    });
  }

  it('forgets portals at Sync, and keeps named statements', async (t) => {
    const { client } = await start(t);
    client.send(parse('s', 'RELOAD'), bind('p', 's'), sync);
    await told(client, PARSED, BOUND, READY);
    client.send(execute('p'), sync);
    const [error] = await client.expect('E', 'Z');
    assert.ok(error!.body.includes('\0C34000\0'));
    client.send(bind('', 's'), execute(''), sync);
    await told(client, BOUND, commandComplete('RELOAD'), READY);
  });
});

describe('a client that breaks the protocol with the admin database', () => {
  for (const [what, bytes] of [
    ['an unknown type', msg('~')],
    ['a FunctionCall', msg('F', int32(1), int16(0), int16(0), int16(0))],
    ['a length that cannot be', Buffer.from('Q\0\0\0\x03')],
    ['a message that is too long', Buffer.from('Q\x7f\0\0\0', 'latin1')],
  ] as const) {
    it(`is sent away: ${what}`, async (t) => {
      const { client, ended } = await start(t);
      client.send(bytes);
      const [error] = await client.expect('E');
      assert.ok(error!.body.includes('SFATAL\0'));
      assert.ok(error!.body.includes('\0C08P01\0'));
      await client.waitForClose();
      assert.equal(ended(), 1);
    });
  }
});

describe('the pg driver with the admin database', () => {
  /** A driver's connection to an admin database with every command. */
  async function driver(t: TestContext) {
    const host = fakeHost(t);
    const { port } = await adminDatabase(t, (command) => runAdminCommand(host, command));
    const client = new Client({ host: '127.0.0.1', port, user: 'admin', database: 'pgmirror' });
    await client.connect();
    t.after(() => client.end());
    return { host, client };
  }

  it('gets rows in the simple and in the extended flow', async (t) => {
    const { client } = await driver(t);
    const simple = await client.query('SHOW MIRRORS;');
    const extended = await client.query({ name: 'mirrors', text: 'SHOW MIRRORS' });
    const again = await client.query({ name: 'mirrors', text: 'SHOW MIRRORS' });
    for (const { rows } of [simple, extended, again]) {
      assert.deepEqual([rows.length, rows[0].database, rows[0].total_count, rows[0].exposure], [1, 'app', '0', 1]);
    }
  });

  it('gets errors with their hints, and goes on', async (t) => {
    const { client, host } = await driver(t);
    await assert.rejects(client.query('SHOW MIRORS'), { code: '42704', hint: 'Perhaps you meant SHOW MIRRORS.' });
    await assert.rejects(client.query({ name: 'x', text: 'DISABLE MIRROR nope' }), { code: '42704' });
    await client.query('DISABLE MIRROR app_new');
    assert.deepEqual(host.calls, ['setEnabled app_new false']);
  });
});
