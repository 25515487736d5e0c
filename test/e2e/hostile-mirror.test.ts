import assert from 'node:assert/strict';
import { once } from 'node:events';
import { createServer, type AddressInfo } from 'node:net';
import { after, before, describe, it } from 'node:test';

import {
  authenticationOk,
  backendKeyData,
  commandComplete,
  cstr,
  dataRow,
  errorResponse,
  firstText,
  int16,
  int32,
  msg,
  readyForQuery,
} from '../support/bytes.ts';
import { inReverse, type Cleanup } from '../support/cleanup.ts';
import { eventually } from '../support/eventually.ts';
import { MessageSocket } from '../support/message-socket.ts';
import { Mirrored } from '../support/mirrored.ts';
import { withClient, type RunningPostgres } from '../support/postgres.ts';
import { expectStartup } from '../support/scripted-postgres.ts';
import { startWatchedPostgres } from '../support/watched-postgres.ts';

/** What a mirror says to a login, or to a request. `end`: it closes after that. */
interface Manner {
  readonly name: string;
  readonly atLogin?: readonly Buffer[];
  readonly atRequest?: readonly Buffer[];
  readonly end?: boolean;
  /** It has to be given up on, which takes its time. */
  readonly isSilent?: boolean;
}

const selectOne = commandComplete('SELECT 1');
const idle = readyForQuery('I');
const hugeHeader = (type: string): Buffer => Buffer.concat([Buffer.from(type), int32(0x7fffffff)]);
const authentication = (code: number, ...rest: readonly Buffer[]): Buffer => msg('R', int32(code), ...rest);
const copyIn = msg('G', Buffer.from([0]), int16(0));

const manners: readonly Manner[] = [
  { name: 'closes before it says anything', atLogin: [], end: true },
  { name: 'greets like a web server', atLogin: [Buffer.from('HTTP/1.1 400 Bad Request\r\n\r\n')] },
  { name: 'asks for Kerberos', atLogin: [authentication(2)] },
  { name: 'asks for GSSAPI', atLogin: [authentication(7)] },
  { name: 'asks for an authentication that nobody knows', atLogin: [authentication(99, cstr('secret'))] },
  { name: 'asks for SASL by no mechanism that there is', atLogin: [authentication(10, cstr('NONE-SUCH'), cstr(''))] },
  { name: 'asks for SASL and says nothing more of it', atLogin: [authentication(10)] },
  { name: 'continues a SASL exchange that was not begun', atLogin: [authentication(11, cstr('r=x,s=y,i=1'))] },
  { name: 'refuses a login without saying why', atLogin: [msg('E', Buffer.from([0]))], end: true },
  { name: 'refuses a login with half a message', atLogin: [hugeHeader('E'), Buffer.from('SFATAL')], end: true },
  {
    name: 'refuses a login at great length',
    atLogin: [errorResponse('53300', 'x'.repeat(100_000), 'FATAL')],
    end: true,
  },
  { name: 'lets in and closes at once', atLogin: [authenticationOk, idle], end: true },
  { name: 'is ready in a block', atLogin: [authenticationOk, readyForQuery('T')] },
  { name: 'closes on a request', atRequest: [], end: true },
  { name: 'closes in mid-answer', atRequest: [selectOne.subarray(0, 7)], end: true },
  { name: 'answers like a web server', atRequest: [Buffer.from('HTTP/1.1 400 Bad Request\r\n\r\n')] },
  { name: 'sends a message shorter than its own length', atRequest: [Buffer.from([0x43, 0, 0, 0, 3]), idle] },
  { name: 'sends a type that is none', atRequest: [msg('?', cstr('what')), idle] },
  { name: 'announces two gigabytes', atRequest: [hugeHeader('C')] },
  { name: 'announces two gigabytes of a row and is silent', isSilent: true, atRequest: [hugeHeader('D')] },
  { name: 'is ready in a state that is none', atRequest: [selectOne, msg('Z', Buffer.from('X'))] },
  { name: 'is ready in a block that nobody began', atRequest: [selectOne, readyForQuery('T')] },
  { name: 'is ready twice', atRequest: [selectOne, idle, idle] },
  { name: 'is ready before it has answered', atRequest: [idle, dataRow('1'), selectOne] },
  { name: 'answers in another order', atRequest: [selectOne, dataRow('1'), msg('2'), msg('1'), idle] },
  { name: 'wants data that nobody has', isSilent: true, atRequest: [copyIn] },
  { name: 'wants data again and again', isSilent: true, atRequest: Array.from({ length: 50 }, () => copyIn) },
  { name: 'wants data when nothing was asked', atRequest: [selectOne, idle, copyIn] },
  {
    name: 'sends data without end',
    isSilent: true,
    atRequest: [msg('H', Buffer.from([0]), int16(0)), msg('d', Buffer.alloc(100_000))],
  },
  { name: 'says goodbye in mid-request', atRequest: [errorResponse('57P01', 'terminating', 'FATAL')], end: true },
  { name: 'fails without saying why', atRequest: [msg('E'), idle] },
  { name: 'talks when nothing was asked', atRequest: [selectOne, idle, msg('N', cstr('')), Buffer.from('garbage')] },
];

/** What is logged of a mirror in trouble: that it is down, and that transactions are dropped since it lets nobody in. */
const reports = new Set([
  'mirror is down',
  'the first transaction was dropped for this reason; more are counted, and not logged',
]);

describe('A mirror that', () => {
  const cleanup = inReverse({ after });
  let source: RunningPostgres;
  let mirrored: Mirrored;

  before(async () => {
    source = await startWatchedPostgres(cleanup);
    mirrored = await Mirrored.start(cleanup, { source }, { mirroring: { timeout: 200, allow_side_effects: true } });
  });

  /** Makes the mirror the server at this port. */
  async function moveMirror(port: number): Promise<void> {
    const [app, shadow] = mirrored.files.databases ?? [];
    await mirrored.pgmirror.reload({ databases: [app!, { ...shadow!, port }] });
  }

  for (const manner of manners) {
    it(`${manner.name} is counted, reported once and tried again, and no client sees it`, async (t) => {
      const hostile = await startHostile(inReverse(t), manner);
      const from = mirrored.pgmirror.log.lines.length;
      const requests = manner.isSilent === true ? 1 : 12;
      await moveMirror(hostile.port);
      await mirrored.pgmirror.admin('RESET STATS');
      await withClient(mirrored.url, async (client) => {
        for (let number = 0; number < requests; number++) {
          const { rows } = await client.query<{ n: number }>(`SELECT ${number} AS n`);
          assert.deepEqual(rows, [{ n: number }]);
        }
      });
      const { total } = await mirrored.drained();
      assert.equal(total, requests);
      // It is tried again, though not all the time.
      await eventually(() => hostile.connections() >= 2);
      assert.ok(hostile.connections() < 60, `${hostile.connections()} connections`);

      await moveMirror(Number(mirrored.files.databases?.[1]?.port));
      await mirrored.whenMirroring();
      const said = mirrored.pgmirror.log.lines.slice(from).filter(({ level }) => Number(level) >= 40);
      assert.ok(said.length <= 6, said.map((line) => JSON.stringify(line).slice(0, 200)).join('\n'));
      assert.deepEqual(
        said.map(({ msg: text }) => text).filter((text) => !reports.has(text)),
        [],
      );
    });
  }
});

/** A server of these manners; the safety check it answers as PostgreSQL does, so that requests come. */
async function startHostile(test: Cleanup, manner: Manner): Promise<{ port: number; connections: () => number }> {
  const peers = new Set<MessageSocket>();
  let connections = 0;
  const server = createServer({ noDelay: true }, (socket) => {
    connections++;
    const peer = new MessageSocket(socket);
    peers.add(peer);
    converse(peer, manner).catch(() => undefined);
  });
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  test.after(async () => {
    server.close();
    await Promise.all([once(server, 'close'), ...[...peers].map(async (peer) => peer.destroy())]);
  });
  return { port: (server.address() as AddressInfo).port, connections: () => connections };
}

async function converse(peer: MessageSocket, { atLogin, atRequest = [], end = false }: Manner): Promise<void> {
  await expectStartup()(peer);
  peer.send(...(atLogin ?? [authenticationOk, backendKeyData(4711, Buffer.from([1, 2, 3, 4])), idle]));
  if (atLogin !== undefined && end) return void peer.socket.end();
  for (;;) {
    const message = await peer.read(60_000);
    if (message.type === 'X') return void peer.socket.end();
    const isCheck = message.type === 'Q' && firstText(message).includes('pg_try_advisory_xact_lock');
    peer.send(...(isCheck ? [dataRow('t', 'f'), selectOne, idle] : atRequest));
    if (!isCheck && end) return void peer.socket.end();
  }
}
