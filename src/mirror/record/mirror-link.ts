import { connect } from 'node:net';
import type { Socket } from 'node:net';
import { AcknowledgementReader } from './acknowledgement-stream.ts';
import type { AcknowledgementHandler } from './acknowledgement-stream.ts';
import { RecordStreamError } from './record-stream.ts';
import { RecordStreamWriter } from './record-stream-writer.ts';

/** Transactions are sent together when the oldest has waited so long, or so many bytes are there. */
const BATCH_MS = 2;
const BATCH_BYTES = 65_536;

export interface MirrorLinkHandler extends AcknowledgementHandler {
  /** It is there; nothing but the greeting has been written. */
  connected?(): void;
  /** The connection is over: what was not acknowledged never will be. */
  closed(): void;
}

/**
 * A thread's record stream to the mirror process: frames are batched, and nobody ever waits for them to be read. How
 * much may be outstanding is bounded by the queue, whose bytes count until they are acknowledged.
 */
export class MirrorLink {
  readonly #generation: number;
  readonly #handler: MirrorLinkHandler;
  #socket: Socket | undefined;
  #connected = false;
  #timer: NodeJS.Timeout | undefined;
  /** Counts connections: what was declared to one mirror process is unknown to the next. */
  incarnation = 0;
  writer = new RecordStreamWriter();

  constructor(generation: number, handler: MirrorLinkHandler) {
    this.#generation = generation;
    this.#handler = handler;
  }

  /** A mirror process is there to take what is written. */
  get connected(): boolean {
    return this.#connected;
  }

  /** Leaves the mirror process it is connected to, and connects to the one at the path, if there is any. */
  connect(path: string | undefined): void {
    this.#disconnect();
    if (path === undefined) return;
    const socket = connect(path);
    this.#socket = socket;
    const reader = new AcknowledgementReader(this.#handler);
    socket.on('connect', () => {
      if (this.#socket !== socket) return;
      this.#connected = true;
      this.incarnation++;
      this.writer = new RecordStreamWriter();
      this.writer.hello(this.#generation);
      this.#handler.connected?.();
      this.flushSoon();
    });
    socket.on('data', (chunk: Buffer) => {
      try {
        reader.push(chunk);
      } catch (error) {
        if (!(error instanceof RecordStreamError)) throw error;
        socket.destroy();
      }
    });
    socket.on('error', () => undefined);
    socket.on('close', () => {
      if (this.#socket === socket) this.#disconnect();
    });
  }

  /** Arms the batch. */
  flushSoon(): void {
    if (this.writer.length >= BATCH_BYTES) this.flush();
    else this.#timer ??= setTimeout(() => this.flush(), BATCH_MS);
  }

  /** Sends what there is, and ends the stream; acknowledgements are not waited for. */
  close(): void {
    if (this.#connected) this.flush();
    this.#socket?.end();
    clearTimeout(this.#timer);
  }

  /** Sends what is batched. */
  flush(): void {
    clearTimeout(this.#timer);
    this.#timer = undefined;
    if (!this.#connected || this.writer.length === 0) return;
    const writer = this.writer;
    const batch = writer.take();
    this.#socket?.write(batch, () => writer.recycle(batch));
  }

  #disconnect(): void {
    const was = this.#connected;
    this.#connected = false;
    this.#socket?.destroy();
    this.#socket = undefined;
    clearTimeout(this.#timer);
    this.#timer = undefined;
    if (was) this.#handler.closed();
  }
}
