import assert from 'node:assert/strict';
import { once } from 'node:events';
import { after, before, describe, it } from 'node:test';

import { alice } from '../support/alice.ts';
import { msg, query } from '../support/bytes.ts';
import { inReverse, type Cleanup } from '../support/cleanup.ts';
import { eventually, within } from '../support/eventually.ts';
import { MeddlingProxy } from '../support/meddling-proxy.ts';
import { Mirrored } from '../support/mirrored.ts';
import type { RunningPostgres } from '../support/postgres.ts';
import { residentBytes, skipWithoutProc } from '../support/processes.ts';
import { startWatchedPostgres } from '../support/watched-postgres.ts';
import { WireClient } from '../support/wire-client.ts';

const mebibyte = 1_048_576;
/** What the pooler may grow by while somebody stands still, or data comes from the source. */
const allowance = 30 * mebibyte;
const copyOut = (rows: number): string =>
  `COPY (SELECT repeat(md5(i::text), 256) FROM generate_series(1, ${rows}) AS i) TO STDOUT`;
/** 262 144 rows of 8 KiB. */
const twoGibibytes = copyOut(262_144);
const ready = Buffer.from([0x5a, 0, 0, 0, 5, 0x49]);

describe('A COPY of more than memory is meant for', { skip: skipWithoutProc }, () => {
  const cleanup = inReverse({ after });
  let source: RunningPostgres;
  let proxy: MeddlingProxy;
  let mirrored: Mirrored;

  before(async () => {
    source = await startWatchedPostgres(cleanup);
    proxy = await MeddlingProxy.start(cleanup, source);
    mirrored = await Mirrored.start(
      cleanup,
      { source },
      {
        schema: 'CREATE UNLOGGED TABLE big (line text)',
        source: { host: proxy.host, port: proxy.port },
        mirroring: { max_transaction_size: mebibyte },
      },
    );
  });

  it('goes out to a client that reads slowly within 30 MB, and can be cancelled', async (t) => {
    const client = await StreamingClient.login(inReverse(t), mirrored);
    client.send(copyOut(6_000)); // code is compiled and buffers are there: what comes is compared with that
    await client.readUntilReady();
    await mirrored.drained();
    const memory = new PeakMemory(mirrored.pgmirror.processId);

    client.pause();
    client.send(twoGibibytes);
    await eventually(() => sourceWaitsForReader(mirrored), { what: 'backpressure to reach the source' });
    memory.assertBounded();
    const stalledAt = client.received;
    for (const goal of [1, 2, 4, 8, 16, 32].map((more) => stalledAt + more * mebibyte)) {
      await client.readUpTo(goal); // and stands still again
      memory.sample();
    }
    while (client.received < stalledAt + 300 * mebibyte) {
      await client.readUpTo(client.received + 8 * mebibyte);
      memory.sample();
    }
    await client.cancel();
    await client.readUntilReady();
    assert.match(client.tail, /C57014/);
    memory.assertBounded();

    client.send('SELECT 1');
    await client.readUntilReady();
    const { reasons, mirrored: replayed, errors } = await mirrored.drained({ timeoutMs: 60_000 });
    assert.deepEqual({ reasons, replayed, errors }, { reasons: {}, replayed: 3, errors: 0 });
    memory.assertBounded();
  });

  it('comes in for a server that takes it slowly without piling up, and is not mirrored', async (t) => {
    const client = await StreamingClient.login(inReverse(t), mirrored);
    const chunk = msg('d', Buffer.from(`${'y'.repeat(65_535)}\n`));
    await client.startCopyIn('COPY big FROM STDIN');
    await client.feed(chunk, 8);
    const warmUp = 1_600;
    await client.startCopyIn('COPY big FROM STDIN');
    await client.feed(chunk, warmUp);
    await mirrored.drained();
    const memory = new PeakMemory(mirrored.pgmirror.processId);

    const chunks = 3_200; // 200 MiB
    await client.startCopyIn('COPY big FROM STDIN');
    proxy.stall('toServer');
    const copied = client.feed(chunk, chunks);
    let sent = -1;
    await eventually(
      () => {
        const stands = client.sent === sent && sent > 0;
        sent = client.sent;
        return stands;
      },
      { intervalMs: 250, what: 'the client to be held back' },
    );
    assert.ok(sent < 64 * mebibyte, `the client could send ${sent} bytes to a server that took nothing`);
    memory.assertBounded();
    proxy.resume();
    const sampling = setInterval(() => memory.sample(), 20);
    await copied.finally(() => clearInterval(sampling));
    memory.assertBounded();

    assert.deepEqual(await mirrored.onSource('SELECT count(*)::int AS count FROM big'), [
      { count: 8 + warmUp + chunks },
    ]);
    const { reasons } = await mirrored.drained();
    assert.deepEqual(reasons, { too_large: 2 });
    assert.deepEqual(await mirrored.onMirror('SELECT count(*)::int AS count FROM big'), [{ count: 8 }]);
  });
});

/** A client that counts what it receives and keeps only the end of it. */
class StreamingClient {
  received = 0;
  sent = 0;
  tail = '';
  readonly #client: WireClient;
  readonly #address: Mirrored['pgmirror'];
  #end: Buffer = Buffer.alloc(0);
  #onData: () => void = () => {};

  private constructor(client: WireClient, address: Mirrored['pgmirror']) {
    this.#client = client;
    this.#address = address;
    client.socket.removeAllListeners('data'); // they keep everything
    client.socket.on('data', (chunk) => this.#data(chunk as Buffer));
  }

  static async login(cleanup: Cleanup, { pgmirror }: Mirrored): Promise<StreamingClient> {
    const client = await WireClient.login(pgmirror, alice);
    cleanup.after(async () => client.destroy());
    return new StreamingClient(client, pgmirror);
  }

  /** A simple query. */
  send(text: string): void {
    this.#end = Buffer.alloc(0);
    this.#client.send(query(text));
  }

  pause(): void {
    this.#client.socket.pause();
  }

  /** Reads so far and stands still then. */
  async readUpTo(goal: number): Promise<void> {
    await this.#read(() => this.received >= goal);
    this.pause();
  }

  /** Reads to the end of the answer. */
  async readUntilReady(): Promise<void> {
    await this.#read(() => this.#end.subarray(-ready.length).equals(ready));
    this.tail = this.#end.toString('latin1');
  }

  async cancel(): Promise<void> {
    await WireClient.cancel(this.#address, this.#client.processId, this.#client.secretKey);
  }

  /** The server is ready to take data when this resolves. */
  async startCopyIn(text: string): Promise<void> {
    this.sent = 0;
    this.send(text);
    await this.#read(() => this.#end.includes('G'));
  }

  /** Sends the same CopyData so many times, no faster than they are taken, and ends the COPY. */
  async feed(chunk: Buffer, times: number): Promise<void> {
    const { socket } = this.#client;
    for (let left = times; left > 0; left -= 1) {
      if (!socket.write(chunk)) await within(once(socket, 'drain'), 60_000, 'the pooler to read on');
      this.sent += chunk.length;
    }
    socket.write(msg('c'));
    await this.readUntilReady();
    assert.match(this.tail, /COPY \d+/);
  }

  async #read(done: () => boolean): Promise<void> {
    if (done()) return;
    const reached = Promise.withResolvers<void>();
    this.#onData = () => {
      if (done()) reached.resolve();
    };
    this.#client.socket.resume();
    await within(reached.promise, 60_000, 'what is to be read');
  }

  #data(chunk: Buffer): void {
    this.received += chunk.length;
    this.#end = Buffer.concat([this.#end, chunk.subarray(-1_000)]).subarray(-1_000);
    this.#onData();
  }
}

/** The most that a process grew by. */
class PeakMemory {
  readonly #processId: number;
  readonly #before: number;
  #most = 0;

  constructor(processId: number) {
    this.#processId = processId;
    this.#before = residentBytes(processId);
  }

  sample(): void {
    this.#most = Math.max(this.#most, residentBytes(this.#processId) - this.#before);
  }

  assertBounded(): void {
    this.sample();
    assert.ok(this.#most < allowance, `the pooler grew by ${(this.#most / mebibyte).toFixed(1)} MiB`);
  }
}

/** PostgreSQL cannot send any more: whoever stands between it and the reader has stopped reading. */
async function sourceWaitsForReader(mirrored: Mirrored): Promise<boolean> {
  const rows = await mirrored.onSource(
    `SELECT 1 FROM pg_stat_activity WHERE query LIKE 'COPY (SELECT repeat%' AND wait_event = 'ClientWrite'
      AND datname = current_database()`,
  );
  return rows.length === 1;
}
