import assert from 'node:assert/strict';
import { mkdtempSync, rmSync } from 'node:fs';
import { createServer } from 'node:net';
import type { Server, Socket } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { AcknowledgementWriter } from '../../../src/mirror/record/acknowledgement-stream.ts';
import { ByteBudget } from '../../../src/mirror/record/byte-budget.ts';
import { DROP_REASONS } from '../../../src/mirror/record/drop-reason-names.ts';
import { allocateCounters, MirrorCounters } from '../../../src/mirror/record/mirror-counters.ts';
import type { MirrorCounts } from '../../../src/mirror/record/mirror-counters.ts';
import { DIGEST_LENGTH } from '../../../src/mirror/compare/digest-format.ts';
import { RequestFlag } from '../../../src/mirror/record/record-stream.ts';
import type { DropReason, Outcome, TargetState } from '../../../src/mirror/record/record-stream.ts';
import { RecordStreamReader } from '../../../src/mirror/record/record-stream-reader.ts';
import type { RecordedTransaction } from '../../../src/mirror/record/record-stream-reader.ts';
import { RecordingDesk } from '../../../src/mirror/record/recording-desk.ts';
import type { MirrorRoute } from '../../../src/mirror/record/recording-desk.ts';
import type { TransactionRecorder } from '../../../src/mirror/record/transaction-recorder.ts';
import { ParameterSet } from '../../../src/session/parameter-set.ts';
import { StatementRegistry } from '../../../src/session/statement-names.ts';
import type { Cleanup } from '../../support/cleanup.ts';
import { splitMessages } from '../../support/bytes.ts';
import { eventually } from '../../support/eventually.ts';

/** A request as it is on the record stream, taken apart by the offsets that record-stream.ts documents. */
export interface RecordedRequest {
  readonly thinkTime: number;
  readonly sourceTime: number;
  readonly sent: number;
  readonly done: number;
  /** Statuses before and after, `IT` for example. */
  readonly statuses: string;
  readonly flags: number;
  readonly sqlstate: string;
  /** The types of the messages that the source did not run. */
  readonly skipped: string;
  readonly cancelAfter: number;
  readonly messages: Buffer;
  /** The types of its messages. */
  readonly types: string;
}

/** The requests of a recording. */
export function requestsOf({ recording, requestCount }: RecordedTransaction): RecordedRequest[] {
  const requests: RecordedRequest[] = [];
  let at = 0;
  while (at < recording.length) {
    const length = recording.readUInt32LE(at);
    const messages = recording.subarray(at + 49, at + 49 + length);
    const [skipFrom, skipTo] = [recording.readUInt32LE(at + 37), recording.readUInt32LE(at + 41)];
    requests.push({
      thinkTime: recording.readUInt32LE(at + 4),
      sourceTime: recording.readUInt32LE(at + 8),
      sent: recording.readDoubleLE(at + 12),
      done: recording.readDoubleLE(at + 20),
      statuses: recording.toString('latin1', at + 28, at + 30),
      flags: recording.readUInt16LE(at + 30),
      sqlstate: recording.toString('latin1', at + 32, at + 37).replaceAll('\0', ''),
      skipped: typesOf(messages.subarray(skipFrom, skipTo)),
      cancelAfter: recording.readUInt32LE(at + 45),
      messages,
      types: typesOf(messages),
    });
    at += 49 + length + ((recording.readUInt16LE(at + 30) & RequestFlag.Digest) === 0 ? 0 : DIGEST_LENGTH);
  }
  assert.equal(requests.length, requestCount);
  return requests;
}

function typesOf(bytes: Buffer): string {
  const { messages, rest } = splitMessages(bytes);
  assert.equal(rest.length, 0, 'only whole messages');
  return messages.map(({ type }) => type).join('');
}

/** Reads a record stream and acknowledges when it is told to: the mirror process as a pooler thread sees it. */
export class FakeMirrorProcess {
  readonly path: string;
  readonly transactions: RecordedTransaction[] = [];
  /** What was told, in order. */
  readonly told: string[] = [];
  #socket: Socket | undefined;

  private constructor(server: Server, path: string) {
    this.path = path;
    server.on('connection', (socket) => this.#serve(socket));
  }

  static async start(cleanup: Cleanup): Promise<FakeMirrorProcess> {
    const directory = mkdtempSync(join(tmpdir(), 'pgmirror-record-'));
    const path = join(directory, 'stream');
    const server = createServer();
    await new Promise<void>((resolve) => server.listen(path, resolve));
    const mirror = new FakeMirrorProcess(server, path);
    cleanup.after(async () => {
      mirror.disconnect();
      await new Promise((resolve) => server.close(resolve));
      rmSync(directory, { recursive: true, force: true });
    });
    return mirror;
  }

  get connected(): boolean {
    return this.#socket !== undefined;
  }

  /** Transactions, once there are so many. */
  async received(count: number): Promise<RecordedTransaction[]> {
    await eventually(() => this.transactions.length >= count, { what: `${count} transactions`, intervalMs: 2 });
    assert.equal(this.transactions.length, count);
    return this.transactions;
  }

  acknowledge(
    { slot, targets }: RecordedTransaction,
    outcome: Outcome,
    { reason = 0, sqlstates = [], target = targets[0] ?? 0 }: AcknowledgementDetails = {},
  ): void {
    const writer = new AcknowledgementWriter();
    writer.acknowledge(slot, target, outcome, reason, sqlstates);
    this.#socket?.write(writer.take());
  }

  targetState(target: number, state: TargetState): void {
    const writer = new AcknowledgementWriter();
    writer.targetState(target, state);
    this.#socket?.write(writer.take());
  }

  /** Sends bytes as they are. */
  send(bytes: Buffer): void {
    this.#socket?.write(bytes);
  }

  /** Ends the connection, as a process does that dies. */
  disconnect(): void {
    this.#socket?.destroy();
    this.#socket = undefined;
  }

  #serve(socket: Socket): void {
    this.#socket = socket;
    const told = this.told;
    const reader = new RecordStreamReader({
      hello: (version, generation) => void told.push(`hello ${version} ${generation}`),
      statement: (id, name, definition) =>
        void told.push(`statement ${id} ${name} ${definition.toString('latin1', 0, definition.indexOf(0))}`),
      forgetStatement: (id) => void told.push(`forget statement ${id}`),
      settings: (id, settings) => void told.push(`settings ${id} ${JSON.stringify([...settings])}`),
      forgetSettings: (id) => void told.push(`forget settings ${id}`),
      client: (id, database, user) => void told.push(`client ${id} ${database} ${user}`),
      clientGone: (id) => void told.push(`client gone ${id}`),
      sessionLost: (client, target) => void told.push(`session lost ${client} ${target}`),
      missed: (target, change) => void told.push(`missed ${target} ${change}`),
      transaction: (transaction) => {
        told.push(`transaction of ${transaction.client}`);
        this.transactions.push({ ...transaction, recording: Buffer.from(transaction.recording) });
      },
    });
    socket.on('data', (chunk) => reader.push(Buffer.from(chunk)));
    socket.on('error', () => undefined);
  }
}

interface AcknowledgementDetails {
  readonly reason?: DropReason | 0;
  readonly sqlstates?: readonly string[];
  readonly target?: number;
}

/** A mirror of the database `shop`, of which a test gives what matters to it. */
export function route(options: Partial<MirrorRoute> = {}): MirrorRoute {
  return {
    id: 1,
    source: 'shop',
    destination: 'shop_new',
    exposure: 1,
    sticky: 'none',
    users: undefined,
    applicationNames: undefined,
    queueLength: 128,
    maxTransactionSize: 1_000_000,
    enabled: true,
    ...options,
  };
}

/** A desk with a mirror process at its other end. */
export class RecordingBench {
  readonly mirror: FakeMirrorProcess;
  readonly desk: RecordingDesk;
  readonly bytes: ByteBudget;
  readonly counters: MirrorCounters;
  readonly registry: StatementRegistry;
  /** `mirror user` of each counter row. */
  readonly rows: string[] = [];
  /** `mirror reason user` of each first drop that was told of. */
  readonly firstDrops: string[] = [];

  private constructor(mirror: FakeMirrorProcess, random: () => number, limit: number) {
    this.mirror = mirror;
    this.bytes = new ByteBudget({ cells: new Float64Array(2), thread: 0, limit });
    this.counters = new MirrorCounters(allocateCounters());
    const forgotten = (text: Parameters<RecordingDesk['forgetStatement']>[0]): void => this.desk.forgetStatement(text);
    this.registry = new StatementRegistry('pm_', forgotten);
    this.desk = new RecordingDesk({
      registry: this.registry,
      bytes: this.bytes,
      counters: this.counters,
      sequence: new BigInt64Array([1n]),
      nameRow: (row, id, user) => (this.rows[row] = `${id} ${user}`),
      firstDropped: (id, reason, user) => this.firstDrops.push(`${id} ${DROP_REASONS[reason]} ${user}`),
      generation: 3,
      random,
    });
  }

  /** Connected, with these mirrors. */
  static async start(
    cleanup: Cleanup,
    {
      routes = [route()],
      random = () => 0,
      limit = 1_000_000,
      connected = true,
    }: { routes?: readonly MirrorRoute[]; random?: () => number; limit?: number; connected?: boolean } = {},
  ): Promise<RecordingBench> {
    const bench = new RecordingBench(await FakeMirrorProcess.start(cleanup), random, limit);
    cleanup.after(() => bench.desk.connect(undefined));
    bench.desk.configure(routes);
    if (connected) await bench.connect();
    return bench;
  }

  async connect(): Promise<void> {
    const before = this.mirror.told.length;
    this.desk.connect(this.mirror.path);
    await eventually(() => this.mirror.told.slice(before).includes('hello 5 3'), { intervalMs: 2 });
  }

  client(user = 'anna', settings = ParameterSet.empty): RecordedClient {
    return new RecordedClient(this.desk.open({ database: 'shop', user, settings }));
  }

  /** What was counted for a mirror and user; asserts that it adds up. */
  counts(name = '1 anna'): MirrorCounts {
    const row = this.rows.indexOf(name);
    const counts = this.counters.read(this.rows.length)[row];
    assert.ok(counts !== undefined, `nothing was counted for ${name}`);
    const dropped = counts.dropped.reduce((sum, count) => sum + count, 0);
    assert.equal(counts.total, counts.replayed + counts.failed + counts.timedOut + dropped + counts.queueLength);
    return counts;
  }

  /** Drops by reason, those that happened. */
  drops(name = '1 anna'): Record<string, number> {
    const { dropped } = this.counts(name);
    return Object.fromEntries(
      DROP_REASONS.map((reason, at) => [reason, dropped[at] ?? 0] as const).filter(([, n]) => n > 0),
    );
  }

  /** Has everything that was received acknowledged as replayed, and waits for the counts. */
  async acknowledgeAll(): Promise<void> {
    this.desk.flush();
    const expected = this.desk.unfinished;
    await eventually(() => this.mirror.transactions.length >= expected, { intervalMs: 2 });
    for (const transaction of this.mirror.transactions) {
      for (const target of transaction.targets) this.mirror.acknowledge(transaction, 1, { target });
    }
    await eventually(() => this.desk.unfinished === 0, { intervalMs: 2 });
  }
}

/** A client's session as its recorder sees it. */
export class RecordedClient {
  readonly recorder: TransactionRecorder;

  constructor(recorder: TransactionRecorder) {
    this.recorder = recorder;
  }

  /** Sends a whole request. Returns where each of its messages ends. */
  send(...messages: readonly Buffer[]): number[] {
    this.recorder.requestStarts();
    const ends = messages.map((message) => {
      this.recorder.append(message, 0, message.length);
      return this.recorder.offset;
    });
    this.recorder.requestSent(messages.length === 1 && messages[0]?.[0] === 0x51);
    return ends;
  }

  /** COPY data behind a request that has been sent. */
  copy(...messages: readonly Buffer[]): void {
    for (const message of messages) this.recorder.appendCopy(message, 0, message.length);
  }

  /** ReadyForQuery, one for each letter. */
  ready(statuses: string): void {
    for (const status of statuses) this.recorder.answered(status.charCodeAt(0));
  }

  /** One request and its answer. */
  run(status: string, ...messages: readonly Buffer[]): void {
    this.send(...messages);
    this.ready(status);
  }
}
