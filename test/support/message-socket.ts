import assert from 'node:assert/strict';
import type { Socket } from 'node:net';

import { splitMessages, type Message } from './bytes.ts';
import { within } from './eventually.ts';

const defaultTimeoutMs = 10_000;

/** Messages that a server may send at any moment: NoticeResponse, NotificationResponse, ParameterStatus. */
const asynchronous = new Set(['N', 'A', 'S']);

/** One end of a connection, read message by message; every wait has a deadline. Both ends' test peers are built on it. */
export class MessageSocket {
  /** The socket itself, for `pause`, `destroy` and what else a test wants of it. */
  readonly socket: Socket;
  /** Resolves when the connection is gone, with the error if there was one. */
  readonly closed: Promise<Error | undefined>;
  #received: Buffer = Buffer.alloc(0);
  #isClosed = false;
  #wakeUp: (() => void) | undefined;

  constructor(socket: Socket) {
    this.socket = socket;
    const closed = Promise.withResolvers<Error | undefined>();
    this.closed = closed.promise;
    let failure: Error | undefined;
    socket.on('data', (chunk: Buffer) => {
      this.#received = Buffer.concat([this.#received, chunk]);
      this.#wakeUp?.();
    });
    socket.on('error', (error) => (failure = error));
    socket.on('close', () => {
      this.#isClosed = true;
      this.#wakeUp?.();
      closed.resolve(failure);
    });
  }

  /** Bytes that came and were not read yet. */
  get unread(): Buffer {
    return this.#received;
  }

  /** Sends bytes in one write. */
  send(...parts: readonly Buffer[]): void {
    this.socket.write(Buffer.concat(parts));
  }

  /** Takes exactly so many bytes, whatever they are. */
  async readBytes(count: number, timeoutMs = defaultTimeoutMs): Promise<Buffer> {
    await this.#until(() => this.#received.length >= count, `${count} bytes`, timeoutMs);
    const bytes = this.#received.subarray(0, count);
    this.#received = this.#received.subarray(count);
    return bytes;
  }

  /** Takes a packet without a type byte, as those before the login: what follows its length. */
  async readUntyped(timeoutMs = defaultTimeoutMs): Promise<Buffer> {
    const length = await this.readBytes(4, timeoutMs);
    return this.readBytes(length.readInt32BE(0) - 4, timeoutMs);
  }

  /** Takes the next message. */
  async read(timeoutMs = defaultTimeoutMs): Promise<Message> {
    const next = (): Message | undefined => {
      if (this.#received.length < 5) return undefined;
      return splitMessages(this.#received.subarray(0, 1 + this.#received.readInt32BE(1))).messages[0];
    };
    await this.#until(() => next() !== undefined, 'a message', timeoutMs);
    const message = next();
    assert.ok(message !== undefined);
    this.#received = this.#received.subarray(message.bytes.length);
    return message;
  }

  /**
   * Takes messages of exactly these types, in this order; `expect('1', '2', 'T', 'D', 'C', 'Z')`. Messages that may come at any
   * moment are passed over where they are not asked for.
   */
  async expect(...types: readonly string[]): Promise<Message[]> {
    const messages: Message[] = [];
    for (const type of types) {
      let message = await this.read();
      while (message.type !== type && asynchronous.has(message.type)) message = await this.read();
      const text = message.type === 'E' && type !== 'E' ? ` ${JSON.stringify(message.body.toString('utf8'))}` : '';
      const sofar = messages.map((earlier) => earlier.type).join(' ');
      assert.equal(message.type, type, `expected ${types.join(' ')}, received ${sofar} ${message.type}${text}`);
      messages.push(message);
    }
    return messages;
  }

  /** Takes messages up to and including the first of this type. */
  async readUntil(type: string, timeoutMs = defaultTimeoutMs): Promise<Message[]> {
    const messages: Message[] = [];
    do messages.push(await this.read(timeoutMs));
    while (messages.at(-1)?.type !== type);
    return messages;
  }

  /** Takes everything up to and including these bytes. */
  async readThrough(ending: Buffer, timeoutMs = defaultTimeoutMs): Promise<Buffer> {
    await this.#until(() => this.#received.includes(ending), 'the end of the answers', timeoutMs);
    return this.readBytes(this.#received.indexOf(ending) + ending.length);
  }

  /** Waits until the other end has closed. */
  async waitForClose(timeoutMs = defaultTimeoutMs): Promise<void> {
    await within(this.closed, timeoutMs, 'the other end to close');
  }

  /** Closes with RST, as a machine does that lost its memory of the connection. */
  async reset(): Promise<void> {
    this.socket.resetAndDestroy();
    await this.closed;
  }

  /** Closes at once, without a word. */
  async destroy(): Promise<void> {
    this.socket.destroy();
    await this.closed;
  }

  async #until(condition: () => boolean, what: string, timeoutMs: number): Promise<void> {
    while (!condition()) {
      const unread = this.#received.toString('latin1', 0, 60);
      if (this.#isClosed)
        throw new Error(`the connection ended before ${what} came (unread: ${JSON.stringify(unread)})`);
      const woken = Promise.withResolvers<void>();
      this.#wakeUp = woken.resolve;
      await within(woken.promise, timeoutMs, `${what} (unread: ${JSON.stringify(unread)})`);
    }
  }
}
