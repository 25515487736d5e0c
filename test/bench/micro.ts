import { Bench } from 'tinybench';

import { ScramServer } from '../../src/auth/scram-server.ts';
import { parseScramVerifier } from '../../src/auth/scram-verifier.ts';
import { AnswerDigest } from '../../src/mirror/compare/answer-digest.ts';
import { AcknowledgementWriter } from '../../src/mirror/record/acknowledgement-stream.ts';
import { RecordStreamWriter } from '../../src/mirror/record/record-stream-writer.ts';
import { OutputAssembly } from '../../src/pooler/output-assembly.ts';
import { RequestReader } from '../../src/pooler/request-reader.ts';
import { stateTag } from '../../src/pooler/state-tag.ts';
import { commandComplete, dataRow, readyForQuery } from '../../src/protocol/backend-messages.ts';
import { AnswerQueue, Owed } from '../../src/session/answer-queue.ts';
import { touchesOf } from '../../src/session/state-touches.ts';
import { RecordingBench, route } from '../mirror/record/recording-bench.ts';
import { bind, cstr, execute, msg, sync } from '../support/bytes.ts';
import { scoped } from './stand/bench-run.ts';
import { SessionPath } from './stand/session-path.ts';
import { figure, table } from './stand/table.ts';

/**
 * What pgmirror's own code does for each message, transaction or login, one thing at a time and without a socket. Not a
 * test: it decides nothing. Run with `npm run bench:micro`.
 */

const query = msg('Q', cstr('SELECT abalance FROM pgbench_accounts WHERE aid = 48213;'));
const prepared = Buffer.concat([bind('', 'P_0'), execute(''), sync]);
const tag = commandComplete('SELECT 1');
const answer = Buffer.concat([dataRow(['0']), tag, readyForQuery(0x49)]);
const preparedAnswer = Buffer.concat([msg('2'), answer]);
const prepare = Buffer.concat([msg('P', cstr('P_0'), cstr('SELECT $1'), Buffer.alloc(2)), sync]);
const poolName = Buffer.from('pgmirror_0a1b2c3d_1_17\0');
const wideRow = dataRow(['x'.repeat(1_000)]);
const rows = Buffer.concat(Array.from({ length: 1_000 }, () => wideRow));

// RFC 7677, section 3.
const scram = {
  verifier: parseScramVerifier(
    'SCRAM-SHA-256$4096:W22ZaJ0SNY7soEsUEjb6gQ==' +
      '$WG5d8oPm3OtcPnkdi4Uo7BkeZkBFzpcXkuLmtbsT4qY=:wfPLwcE6nTWhTAmQ7tl2KeoiWGPlZqQxSrmfPwDl2dU=',
  ),
  nonce: '%hvYDpWUa2RaTCAfuxFIlj)hNlF$k0',
  first: 'n,,n=user,r=rOprNGfwEbeRWgbNEkqO',
  final: 'c=biws,r=rOprNGfwEbeRWgbNEkqO%hvYDpWUa2RaTCAfuxFIlj)hNlF$k0,p=dHzbZapWIk4jUhN+Ute9ytag9zjfMHgsqmmiz7AndVQ=',
};

/** So often is a short thing done for one sample: the clock is not fine enough for less. */
const TIMES = 200;
const bench = new Bench({ time: process.argv.includes('--smoke') ? 20 : 1_000 });
/** What one call of a task handles: how many, or how many bytes. */
const handled = new Map<string, { readonly calls: number; readonly bytes?: number }>();

function add(name: string, once: () => void, options: { bytes?: number; beforeEach?: () => Promise<void> } = {}): void {
  const { bytes, beforeEach } = options;
  const calls = bytes === undefined ? TIMES : 1;
  handled.set(name, { calls, ...(bytes === undefined ? {} : { bytes }) });
  const many = (): void => {
    for (let call = 0; call < calls; call++) once();
  };
  bench.add(name, many, beforeEach === undefined ? {} : { beforeEach });
}

function addParts(): void {
  const reader = new RequestReader(
    { message: () => true, longMessage: () => undefined, piece: () => undefined, violation: () => undefined },
    { maxMessageSize: 1 << 30 },
  );
  const assembly = new OutputAssembly();
  const queue = new AnswerQueue();
  const bindLength = bind('', 'P_0').length;
  add('frame a simple query', () => reader.push(query));
  add('frame Bind, Execute, Sync', () => reader.push(prepared));
  add('rename the statement of a Bind', () => {
    assembly.appendRenamed(prepared, 0, bindLength, bindLength, 6, 10, poolName);
    assembly.append(prepared, bindLength, prepared.length);
    assembly.take();
  });
  add('sync tracking: owe and settle Bind, Execute, Sync', () => {
    for (const owed of [Owed.Bind, Owed.Execute, Owed.Sync]) queue.push(owed);
    for (let settled = 0; settled < 3; settled++) queue.shift();
  });
  add('look for what a text touches', () => touchesOf(query, 5, query.length));
  add('look at a command tag', () => stateTag(tag, 0));
}

/** A transaction from the client's bytes to the server's answer, with checkout and hand-back. */
function addSessions(name: string, path: SessionPath, beforeEach?: () => Promise<void>): void {
  path.prepare(0, prepare);
  path.prepare(1, prepare);
  let client = 0;
  const options = beforeEach === undefined ? {} : { beforeEach };
  add(`a simple query, ${name}`, () => path.run((client ^= 1), query, answer), options);
  add(`a prepared one, ${name}`, () => path.run((client ^= 1), prepared, preparedAnswer), options);
}

/** Has everything acknowledged that was handed over. */
async function drain({ desk, mirror }: RecordingBench): Promise<void> {
  while (desk.unfinished > 0) {
    desk.flush();
    await new Promise((resolve) => setImmediate(resolve));
    const acknowledgements = new AcknowledgementWriter();
    for (const { slot } of mirror.transactions) acknowledgements.acknowledge(slot, 1, 1, 0, []);
    mirror.transactions.length = 0;
    mirror.told.length = 0;
    if (acknowledgements.length > 0) mirror.send(acknowledgements.take());
  }
}

function addStream(): void {
  const writer = new RecordStreamWriter();
  const header = { slot: 1, client: 1, settings: 0, unnamedStatement: 0, flags: 0, startedAt: 0, endedAt: 0 };
  const recording = Buffer.alloc(110);
  add('write a transaction into the record stream', () => {
    writer.transaction({ ...header, targets: [1], requestCount: 1 }, recording);
    if (writer.length > 60_000) writer.recycle(writer.take());
  });
}

function addLoginAndDigest(): void {
  add('SCRAM: the server’s side of a login', () => {
    const server = new ScramServer({ verifier: scram.verifier, nonce: scram.nonce });
    server.first('SCRAM-SHA-256', scram.first);
    server.final(scram.final);
  });
  const digest = new AnswerDigest();
  const bytes = rows.length;
  const digestRows = (): void => {
    digest.reset();
    for (let at = 0; at < bytes; at += wideRow.length) digest.row(rows, at, at + wideRow.length);
  };
  add('digest of rows, 1 kB each', digestRows, { bytes });
}

await scoped(async (cleanup) => {
  const none = await RecordingBench.start(cleanup, { routes: [route({ exposure: 0 })], limit: 1e9 });
  const all = await RecordingBench.start(cleanup, { routes: [route({ queueLength: 1e6 })], limit: 1e9 });
  addParts();
  addSessions('no mirror', new SessionPath({ clients: 2 }));
  addSessions('exposure 0', new SessionPath({ clients: 2, desk: none.desk }));
  addSessions('recorded and handed over', new SessionPath({ clients: 2, desk: all.desk }), async () => drain(all));
  addStream();
  addLoginAndDigest();
  await bench.run();
  await drain(all);
});

const results = bench.tasks.map(({ name, result }) => {
  const { calls = 1, bytes } = handled.get(name) ?? {};
  const ms = 'latency' in result ? result.latency.p50 : Number.NaN;
  return [name, bytes === undefined ? `${figure((ms * 1e6) / calls, 0)} ns` : `${figure(bytes / ms / 1_000, 0)} MB/s`];
});
console.log(table(['what', 'median'], results));
