import { createHash } from 'node:crypto';
import { once } from 'node:events';
import { connect, type Socket } from 'node:net';
import { join } from 'node:path';
import { connect as connectTls, type ConnectionOptions } from 'node:tls';

import {
  cancelRequest,
  cstr,
  errorFields,
  int32,
  msg,
  query,
  sslRequest,
  startup,
  terminate,
  type Message,
} from './bytes.ts';
import { within } from './eventually.ts';
import { MessageSocket } from './message-socket.ts';
import { ScramLogin } from './scram.ts';

/** Where and how to connect; a `host` with a slash first is the folder of a unix socket. */
export interface WireAddress {
  readonly host: string;
  readonly port: number;
  /** Asks for TLS with an SSLRequest first. */
  readonly tls?: ConnectionOptions;
}

/** As whom to log in. */
export interface WireLogin {
  readonly user: string;
  readonly database?: string;
  readonly password?: string;
  /** More of the StartupMessage, for example `application_name`. */
  readonly parameters?: Readonly<Record<string, string>>;
  /** Of the protocol; default 3.0 as 0x30000. */
  readonly version?: number;
}

/** A client that sends and receives protocol messages as they are, for what no driver would do. */
export class WireClient extends MessageSocket {
  /** What the server reported with ParameterStatus during the login. */
  readonly parameters = new Map<string, string>();
  processId = 0;
  secretKey: Buffer = Buffer.alloc(0);

  /** Of pgmirror's threads, the one that serves it: the upper bits of the process id are its number. */
  get thread(): number {
    return this.processId >>> 22;
  }

  /** Connects, and no more. */
  static async connect({ host, port, tls }: WireAddress): Promise<WireClient> {
    const plain = host.startsWith('/') ? connect(join(host, `.s.PGSQL.${port}`)) : connect(port, host);
    plain.setNoDelay();
    await within(once(plain, 'connect'), 10_000, `a connection to ${host}:${port}`);
    return new WireClient(tls === undefined ? plain : await upgrade(plain, tls));
  }

  /** Connects and logs in. */
  static async login(address: WireAddress, login: WireLogin): Promise<WireClient> {
    const client = await WireClient.connect(address);
    try {
      await client.logIn(login);
      return client;
    } catch (error) {
      await client.destroy();
      throw error;
    }
  }

  /** Sends a CancelRequest on a connection of its own, which the server closes. */
  static async cancel(address: WireAddress, processId: number, secretKey: Buffer): Promise<void> {
    const client = await WireClient.connect(address);
    client.send(cancelRequest(processId, secretKey));
    await client.waitForClose();
  }

  /** Sends the StartupMessage and answers what is asked up to the first ReadyForQuery. Throws on an ErrorResponse. */
  async logIn({ user, database = user, password, parameters, version }: WireLogin): Promise<Message[]> {
    this.send(startup({ user, database, ...parameters }, version));
    const messages: Message[] = [];
    const scram = new ScramLogin(password ?? '');
    for (;;) {
      const message = await this.read();
      messages.push(message);
      if (message.type === 'R') this.#authenticate(message.body, user, password ?? '', scram);
      else if (message.type === 'S') this.#noteParameter(message.body);
      else if (message.type === 'K') {
        this.processId = message.body.readInt32BE(0);
        this.secretKey = Buffer.from(message.body.subarray(4));
      } else if (message.type === 'E') {
        const { C: code, M: text } = errorFields(message);
        throw new Error(`the login failed: ${code} ${text}`);
      } else if (message.type === 'Z') return messages;
    }
  }

  /** Runs a simple query and returns all messages of its answer, ReadyForQuery last. */
  async query(text: string): Promise<Message[]> {
    this.send(query(text));
    return this.readUntil('Z');
  }

  /** Says Terminate and waits until the server has closed. */
  async end(): Promise<void> {
    if (this.socket.writable) this.socket.end(terminate);
    await this.waitForClose();
  }

  #noteParameter(body: Buffer): void {
    const [name = '', setting = ''] = body.toString('utf8').split('\0');
    this.parameters.set(name, setting);
  }

  /** One of the Authentication… messages: 3 is a clear password, 5 MD5, 10 to 12 SASL. */
  #authenticate(body: Buffer, user: string, password: string, scram: ScramLogin): void {
    const text = body.toString('utf8', 4);
    switch (body.readInt32BE(0)) {
      case 0:
        return;
      case 3:
        return this.send(msg('p', cstr(password)));
      case 5:
        return this.send(msg('p', cstr(`md5${md5(md5(password + user), body.subarray(4))}`)));
      case 10: {
        const first = Buffer.from(scram.first());
        return this.send(msg('p', cstr('SCRAM-SHA-256'), int32(first.length), first));
      }
      case 11:
        return this.send(msg('p', Buffer.from(scram.final(text))));
      case 12:
        if (!scram.accepts(text)) throw new Error('the server did not prove that it knows the password');
        return;
      default:
        throw new Error(`unknown authentication request ${body.readInt32BE(0)}`);
    }
  }
}

async function upgrade(plain: Socket, options: ConnectionOptions): Promise<Socket> {
  plain.write(sslRequest);
  const answer = await within(
    new Promise<Buffer>((resolve) => plain.once('data', resolve)),
    10_000,
    'the answer to SSLRequest',
  );
  if (answer.toString('latin1') !== 'S') {
    plain.destroy();
    throw new Error(`the server answered SSLRequest with ${JSON.stringify(answer.toString('latin1'))}`);
  }
  const secure = connectTls({ ...options, socket: plain });
  await within(once(secure, 'secureConnect'), 10_000, 'the TLS handshake');
  return secure;
}

function md5(text: string, salt: Buffer = Buffer.alloc(0)): string {
  return createHash('md5').update(text).update(salt).digest('hex');
}
