import type { ErrorFields } from '../protocol/backend-messages.ts';
import { errorResponse } from '../protocol/backend-messages.ts';
import { Frontend } from '../protocol/message-types.ts';
import type { ProtocolError } from '../protocol/protocol-error.ts';
import type { OutputAssembly } from './output-assembly.ts';
import { RequestReader } from './request-reader.ts';
import type { RequestHandler } from './request-reader.ts';
import { awaitsCancels } from './request-relay.ts';
import type { RequestRelay } from './request-relay.ts';
import type { Server, SessionLink } from './session-link.ts';
import { SpentChunks } from './spent-chunks.ts';
import { WithoutServer } from './without-server.ts';

/** More than this queued towards the server, and the client is not read from until it has gone. */
const SERVER_BACKLOG_BYTES = 65_536;

/** What the session does for its client's messages. */
export interface InputOwner {
  /** Takes a server connection from the pool for a request; `undefined`: not now, `resume()` is called later. */
  checkout(): Server | undefined;
  /** What another client's sequences gave the session is not for this one to see; `resume()` is called later. */
  forgetSequences(server: Server): void;
  /** The client's statements, and no others, are to be on the server under its own names; `resume()` is called later. */
  showStatements(server: Server): void;
  /** What the client wanted cancelled before it was sent has been sent. */
  cancel(): void;
  /** The client sends no more, and what it sent has been passed on as far as that is possible now. */
  inputOver(): void;
}

/**
 * What comes from a client, on its way to its server connection: cut into messages, which go to the relay, and from there
 * in one write to the server. While a message has to wait, one more read of the client's is kept, and then no more is read:
 * hardly a client sends anything before it is answered, and to pause its socket and have it go on costs as much as all else
 * that waiting does. Nothing is read while the server does not take what there is.
 */
export class ClientInput implements RequestHandler {
  readonly #link: SessionLink;
  readonly #requests: RequestRelay;
  readonly #assembly: OutputAssembly;
  readonly #owner: InputOwner;
  readonly #reader: RequestReader;
  readonly #withoutServer: WithoutServer;
  readonly #spent = new SpentChunks();
  /** The walk over the client's bytes has met nothing that is looked at again when it has been sent. */
  #copyDataOnly = false;
  #paused = false;
  #isOver = false;
  /** The client closed its sending half while a message had to wait: that is for when it waits no more. */
  #endsLater = false;
  #cancelDue = false;
  #parting: Buffer | undefined;

  constructor(
    link: SessionLink,
    requests: RequestRelay,
    options: { readonly assembly: OutputAssembly; readonly maxMessageSize: number },
    owner: InputOwner,
  ) {
    this.#link = link;
    this.#requests = requests;
    this.#assembly = options.assembly;
    this.#owner = owner;
    this.#withoutServer = new WithoutServer(link.client);
    this.#reader = new RequestReader(this, options);
  }

  /** A message waits for an answer, or for a server connection. */
  get blocked(): boolean {
    return this.#reader.blocked;
  }

  /** Part of a message has been passed on, and the rest has not come. */
  get streaming(): boolean {
    return this.#reader.streaming;
  }

  /** Something was sent that has not been passed on. */
  get pending(): boolean {
    return this.#reader.pending > 0;
  }

  /** The client sends no more. */
  get isOver(): boolean {
    return this.#isOver;
  }

  /** What the client is told at the very end, because of how its input ended. */
  get parting(): Buffer | undefined {
    return this.#parting;
  }

  /** Whether that ends what was waited for: a few bytes of a message do not. */
  take(chunk: Buffer): boolean {
    this.#link.walks++;
    this.#copyDataOnly = true;
    if (this.#reader.blocked) this.#pause();
    this.#reader.push(chunk);
    this.#walked();
    const { server } = this.#link;
    if (this.#copyDataOnly && server !== undefined && !this.#reader.refersTo(chunk)) this.#spent.add(chunk, server);
    return this.#reader.takeHasPassed();
  }

  /** The client closed its sending half. */
  end(): void {
    this.#endsLater = this.#reader.blocked;
    if (this.#endsLater) return;
    this.#isOver = true;
    this.#owner.inputOver();
  }

  /** Shows the reader again what it was told to keep. */
  resume(): void {
    this.#link.walks++;
    this.#reader.resume();
    this.#walked();
    if (this.#reader.blocked) return;
    this.#read();
    if (this.#endsLater) process.nextTick(() => this.end());
    this.#endsLater = false;
  }

  /** The request that waits is refused: it gets no server connection. */
  refuse(error: ErrorFields): void {
    this.#withoutServer.refuse(error);
    this.resume();
  }

  /** The message that waits, if one does, is cancelled as soon as the server has it: what it asks may be amid a block. */
  cancelWhenSent(): void {
    this.#cancelDue = this.#reader.blocked;
  }

  /** Has the server answer what it was sent, though nothing was sent that asks for that. */
  hurry(server: Server): void {
    this.#requests.hurry(server);
    this.flush();
  }

  /** Reads no more, whatever comes. */
  stop(): void {
    this.#reader.stop();
  }

  /** Hands what has been put together to the server. */
  flush(): void {
    const assembly = this.#assembly;
    if (assembly.empty) return;
    const bytes = assembly.take();
    const { server } = this.#link;
    if (server === undefined || server.closed) return;
    if (server.socket.write(bytes)) return;
    assembly.pending(bytes);
    if (server.socket.writableLength < SERVER_BACKLOG_BYTES) return;
    this.#pause();
    server.socket.whenFlushed(() => {
      this.#spent.release(server);
      if (!this.#reader.blocked) this.#read();
    });
  }

  /** What the walk over the client's bytes has put together goes out in one write. */
  #walked(): void {
    this.flush();
    if (this.#cancelDue) {
      this.#cancelDue = false;
      this.#owner.cancel();
    }
    if (this.#isOver) this.#owner.inputOver();
  }

  message(type: number, bytes: Buffer, start: number, end: number): boolean {
    if (type !== Frontend.CopyData) this.#copyDataOnly = false;
    if (type === Frontend.Terminate) {
      this.#isOver = true;
      this.#reader.stop();
      return true;
    }
    const { server } = this.#link;
    if (server !== undefined) return this.#link.state === 'active' && this.#forward(server, type, bytes, start, end);
    if (this.#withoutServer.takes(type, end - start)) return true;
    const granted = this.#owner.checkout();
    return granted !== undefined && this.#forward(granted, type, bytes, start, end);
  }

  #forward(server: Server, type: number, bytes: Buffer, start: number, end: number): boolean {
    if (this.#requests.forward(server, type, bytes, start, end)) return true;
    this.#prepareServer(server);
    return false;
  }

  /** What a message that was not passed on needs of the server's session before. */
  #prepareServer(server: Server): void {
    if (awaitsCancels(server)) server.onCancelsDone = () => this.#resumeOn(server);
    else if (this.#link.foreignSequences) this.#owner.forgetSequences(server);
    else if (this.#link.statementsAsked === 'wanted') this.#owner.showStatements(server);
  }

  #resumeOn(server: Server): void {
    if (this.#link.server === server) this.resume();
  }

  longMessage(type: number, bytes: Buffer, start: number, end: number, length: number): boolean | undefined {
    if (type !== Frontend.CopyData) this.#copyDataOnly = false;
    let { server } = this.#link;
    if (server === undefined) {
      if (this.#withoutServer.refusing || type === Frontend.CopyData) return undefined;
      server = this.#owner.checkout();
      if (server === undefined) return false;
    }
    if (this.#link.state !== 'active') return false;
    const taken = this.#requests.forwardLong(server, type, bytes, start, end, length);
    if (taken === false) this.#prepareServer(server);
    return taken;
  }

  piece(bytes: Buffer, start: number, end: number, last: boolean): void {
    const { server } = this.#link;
    if (server !== undefined) this.#requests.piece(server, bytes, start, end, last);
  }

  /** What came before it is answered first. PostgreSQL has no word for a length that cannot be. */
  violation(error: ProtocolError): void {
    this.#isOver = true;
    if (error.message === 'invalid message length') return;
    this.#parting = errorResponse({ severity: 'FATAL', code: error.code, message: error.message });
    const { server } = this.#link;
    if (server !== undefined) this.#requests.hurry(server);
  }

  #pause(): void {
    if (this.#paused) return;
    this.#paused = true;
    this.#link.client.pause();
  }

  #read(): void {
    if (!this.#paused || this.#link.clientGone) return;
    this.#paused = false;
    this.#link.client.resume();
  }
}
