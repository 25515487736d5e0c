import assert from 'node:assert/strict';
import { once } from 'node:events';
import { createServer, type Server } from 'node:net';

import { authenticationOk, backendKeyData, firstText, parameterStatus, readyForQuery, type Message } from './bytes.ts';
import type { Cleanup } from './cleanup.ts';
import { MessageSocket } from './message-socket.ts';

/** One step of what a scripted server does with a connection. It rejects when the client does something else. */
export type Step = (peer: MessageSocket) => void | Promise<void>;

const sslRequestCode = 80877103;
const gssRequestCode = 80877104;

/**
 * A server that follows a script of steps for each connection: the first script for the first connection, and so on, the last
 * for all that come after it. When a script is over the connection is closed.
 *
 * A script that fails (the client sent something else, or nothing) closes its connection, and makes `finished()` reject.
 */
export class ScriptedPostgres {
  readonly host = '127.0.0.1';
  readonly port: number;
  readonly #server: Server;
  readonly #peers = new Set<MessageSocket>();
  readonly #running = new Set<Promise<void>>();
  readonly #failures: unknown[] = [];
  #connections = 0;

  private constructor(server: Server, port: number, scripts: readonly (readonly Step[])[]) {
    this.#server = server;
    this.port = port;
    server.on('connection', (socket) => {
      const peer = new MessageSocket(socket);
      const script = scripts[Math.min(this.#connections, scripts.length - 1)] ?? [];
      this.#connections += 1;
      this.#peers.add(peer);
      const run = this.#run(peer, script);
      this.#running.add(run);
      void run.finally(() => this.#running.delete(run));
    });
  }

  /** Listens on a free port, and stops when the test or file is over. */
  static async start(cleanup: Cleanup, ...scripts: readonly (readonly Step[])[]): Promise<ScriptedPostgres> {
    const server = createServer({ noDelay: true });
    server.listen(0, '127.0.0.1');
    await once(server, 'listening');
    const address = server.address();
    assert.ok(address !== null && typeof address === 'object');
    const scripted = new ScriptedPostgres(server, address.port, scripts);
    cleanup.after(async () => scripted.stop());
    return scripted;
  }

  /** How many connections were accepted so far. */
  get connections(): number {
    return this.#connections;
  }

  /** Resolves when the scripts of all connections so far are over; rejects with the first failure of one. */
  async finished(): Promise<void> {
    await Promise.all(this.#running);
    if (this.#failures.length > 0) throw this.#failures[0];
  }

  /** Closes everything at once. */
  async stop(): Promise<void> {
    if (!this.#server.listening) return;
    this.#server.close();
    await Promise.all([once(this.#server, 'close'), ...[...this.#peers].map(async (peer) => peer.destroy())]);
  }

  async #run(peer: MessageSocket, script: readonly Step[]): Promise<void> {
    try {
      for (const step of script) await step(peer);
      peer.socket.end();
    } catch (error) {
      this.#failures.push(error);
      peer.socket.destroy();
    }
  }
}

/** Takes a StartupMessage, refusing TLS and GSS encryption before it, and checks the parameters that are given. */
export function expectStartup(parameters: Readonly<Record<string, string>> = {}): Step {
  return async (peer) => {
    let packet = await peer.readUntyped();
    while ([sslRequestCode, gssRequestCode].includes(packet.readInt32BE(0))) {
      peer.send(Buffer.from('N'));
      packet = await peer.readUntyped();
    }
    const words = packet.toString('utf8', 4).split('\0');
    for (const [name, setting] of Object.entries(parameters)) {
      const at = words.findIndex((word, index) => index % 2 === 0 && word === name);
      assert.equal(at < 0 ? undefined : words[at + 1], setting, `startup parameter ${name}`);
    }
  };
}

/** The whole login of a client that is trusted: startup, AuthenticationOk, what the server reports, ReadyForQuery. */
export function acceptLogin(reported: Readonly<Record<string, string>> = {}): Step {
  return async (peer) => {
    await expectStartup()(peer);
    const defaults = { server_version: '18.4', client_encoding: 'UTF8', standard_conforming_strings: 'on' };
    const parameters = Object.entries({ ...defaults, ...reported });
    peer.send(
      authenticationOk,
      ...parameters.map(([name, setting]) => parameterStatus(name, setting)),
      backendKeyData(4711, Buffer.from([1, 2, 3, 4])),
      readyForQuery('I'),
    );
  };
}

/** Takes messages of exactly these types. */
export function expect(...types: readonly string[]): Step {
  return async (peer) => {
    await peer.expect(...types);
  };
}

/** Takes a simple query with exactly this text. */
export function expectQuery(text: string): Step {
  return async (peer) => {
    const [message] = await peer.expect('Q');
    assert.equal(message && firstText(message), text);
  };
}

/** Takes exactly these bytes. */
export function expectBytes(...parts: readonly Buffer[]): Step {
  return async (peer) => {
    const expected = Buffer.concat(parts);
    const received = await peer.readBytes(expected.length);
    assert.equal(received.toString('latin1'), expected.toString('latin1'));
  };
}

/** Takes the next message and hands it to a function that judges it. */
export function expectMessage(judge: (message: Message) => void): Step {
  return async (peer) => judge(await peer.read());
}

/** Sends bytes in one write. */
export function send(...parts: readonly Buffer[]): Step {
  return (peer) => peer.send(...parts);
}

/** Goes on when the promise resolves: how a test holds a server still. */
export function until(promise: Promise<unknown>): Step {
  return async () => {
    await promise;
  };
}

/** Waits until the client has closed, whatever it says before. */
export function waitForClose(): Step {
  return async (peer) => peer.waitForClose();
}

/** Closes with RST. */
export function reset(): Step {
  return async (peer) => peer.reset();
}
