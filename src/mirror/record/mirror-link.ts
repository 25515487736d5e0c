import { connect } from 'node:net';
import type { Socket } from 'node:net';
import { AcknowledgementReader } from './acknowledgement-stream.ts';
import type { AcknowledgementHandler } from './acknowledgement-stream.ts';
import { RecordStreamError } from './record-stream.ts';
import { RecordStreamWriter } from './record-stream-writer.ts';

/**
 * Transactions are sent together when the oldest has waited so long, or so many bytes are there. Each batch wakes both
 * processes up, and costs the pooler thread as much as dozens of transactions that are recorded.
 */
const BATCH_MS = 5;
const BATCH_BYTES = 65_536;

const READ_BUFFER_BYTES = 16_384;
/** A stream that broke, or that nobody took, is tried again so much later, for as long as the mirror process is there. */
const RECONNECT_MS = 500;

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
  /** Where the mirror process listens. */
  #path: string | undefined;
  #retry: NodeJS.Timeout | undefined;
  /** Acknowledgements come hundreds of times a second: not into a new buffer each time. */
  readonly #readBuffer = Buffer.allocUnsafeSlow(READ_BUFFER_BYTES);
  #timer: NodeJS.Timeout | undefined;
  /** Counts connections: what was declared to one mirror process is unknown to the next. */
  incarnation = 0;
  /** Counts batches. */
  batch = 1;
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
    this.#path = path;
    if (path !== undefined) this.#open(path);
  }

  #open(path: string): void {
    const reader = new AcknowledgementReader(this.#handler);
    const socket: Socket = connect({ path, onread: { buffer: this.#readBuffer, callback: received } });
    this.#socket = socket;
    function received(length: number, buffer: Uint8Array): boolean {
      try {
        // A copy: what is not whole is kept for the next time, and the buffer is used again.
        reader.push(Buffer.from(buffer.subarray(0, length)));
      } catch (error) {
        if (!(error instanceof RecordStreamError)) throw error;
        socket.destroy();
      }
      return true;
    }
    socket.on('connect', () => {
      if (this.#socket !== socket) return;
      this.#connected = true;
      this.incarnation++;
      this.writer = new RecordStreamWriter();
      this.writer.hello(this.#generation);
      this.#handler.connected?.();
      this.flushSoon();
    });
    socket.on('error', () => undefined);
    socket.on('close', () => {
      if (this.#socket !== socket) return;
      this.#disconnect();
      this.#connectAgain();
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
    this.#path = undefined;
    this.#socket?.end();
    clearTimeout(this.#timer);
    clearTimeout(this.#retry);
  }

  /** Sends what is batched. */
  flush(): void {
    clearTimeout(this.#timer);
    this.#timer = undefined;
    if (!this.#connected || this.writer.length === 0) return;
    this.batch++;
    const writer = this.writer;
    const batch = writer.take();
    this.#socket?.write(batch, () => writer.recycle(batch));
  }

  /** The mirror process may live, and only the stream be broken: nobody else would notice that. */
  #connectAgain(): void {
    const path = this.#path;
    if (path !== undefined) this.#retry = setTimeout(() => this.#open(path), RECONNECT_MS).unref();
  }

  #disconnect(): void {
    clearTimeout(this.#retry);
    const was = this.#connected;
    this.#connected = false;
    this.#socket?.destroy();
    this.#socket = undefined;
    clearTimeout(this.#timer);
    this.#timer = undefined;
    if (was) this.#handler.closed();
  }
}
