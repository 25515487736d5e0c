import { connect } from 'node:net';

import { ScramClient } from '../../../src/auth/scram-client.ts';
import { deriveScramKeys, type ScramKeys } from '../../../src/auth/scram-keys.ts';
import { cstr, errorFields, int32, msg, splitMessages, startup, terminate } from '../../support/bytes.ts';

/**
 * Clients that log in by SCRAM and leave, several at once: `node login-load.ts <host> <port> <user> <password> <database>
 * <seconds>`. They derive their keys once, so that it is the server's side that is kept busy. Says how many it were.
 */
const [host = '', port = '', user = '', password = '', database = '', seconds = ''] = process.argv.slice(2);
const AT_ONCE = 16;
const keys = new Map<string, Promise<ScramKeys>>();

function keysFor(salt: Buffer, iterations: number): Promise<ScramKeys> {
  const name = `${iterations} ${salt.toString('base64')}`;
  const known = keys.get(name) ?? deriveScramKeys(Buffer.from(password), salt, iterations);
  keys.set(name, known);
  return known;
}

function logIn(): Promise<void> {
  return new Promise((resolve, reject) => {
    const socket = connect({ host, port: Number(port), noDelay: true });
    const scram = new ScramClient({ keysFor, mechanisms: ['SCRAM-SHA-256'] });
    let held: Buffer = Buffer.alloc(0);
    socket.on('error', reject);
    socket.on('close', () => reject(new Error('closed')));
    socket.on('connect', () => socket.write(startup({ user, database })));
    socket.on('data', (chunk: Buffer) => {
      const { messages, rest } = splitMessages(Buffer.concat([held, chunk]));
      held = rest;
      for (const message of messages) {
        const { type, body } = message;
        if (type === 'E') reject(new Error(errorFields(message).M));
        if (type === 'R') answer(body).catch(reject);
        if (type !== 'Z') continue;
        socket.end(terminate);
        resolve();
      }
    });

    async function answer(body: Buffer): Promise<void> {
      const text = body.toString('latin1', 4);
      switch (body.readInt32BE(0)) {
        case 10: {
          const first = Buffer.from(scram.first(), 'latin1');
          socket.write(msg('p', cstr(scram.mechanism), int32(first.length), first));
          return;
        }
        case 11:
          socket.write(msg('p', Buffer.from(await scram.final(text), 'latin1')));
          return;
        case 12:
          scram.verify(text);
          return;
        default:
      }
    }
  });
}

/** Logs in again and again until then; how often. */
async function repeat(until: number): Promise<number> {
  let logins = 0;
  for (; performance.now() < until; logins++) await logIn();
  return logins;
}

const start = performance.now();
const until = start + Number(seconds) * 1_000;
const counts = await Promise.all(Array.from({ length: AT_ONCE }, () => repeat(until)));
const logins = counts.reduce((sum, count) => sum + count, 0);
console.log(JSON.stringify({ logins, seconds: (performance.now() - start) / 1_000 }));
