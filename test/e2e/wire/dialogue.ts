import { createHash } from 'node:crypto';
import { setTimeout as delay } from 'node:timers/promises';

import { bind, errorFields, execute, firstText, parse, rowValues, type Message } from '../../support/bytes.ts';
import { eventually } from '../../support/eventually.ts';
import type { WireClient } from '../../support/wire-client.ts';

/**
 * One step of a dialogue: bytes to send, and the types of the messages that answer them, in order and without spaces:
 * `12DCZ`. Notices, notifications and reported settings are compared but not announced: which settings are reported depends on the
 * version. `!` at the end stands for the end of the connection. An answer of no messages means that nothing comes.
 */
export interface Step {
  /** Each is a write of its own. */
  readonly send: readonly Buffer[];
  readonly answer: string;
}

/** A sequence of bytes that PostgreSQL and pgmirror are to answer alike. */
export interface Dialogue {
  readonly name: string;
  readonly steps: readonly Step[];
  /** Parameters of the StartupMessage. */
  readonly startup?: Readonly<Record<string, string>>;
  /** Why pgmirror answers something else than PostgreSQL: then only what is left behind is judged. */
  readonly differs?: string;
}

/** OIDs from here on are of what users made (FirstNormalObjectId). */
const firstMadeOid = 16_384;

const atAnyMoment = new Set(['N', 'A', 'S']);

/** So long nothing may come where nothing is to come. */
const silenceMs = 40;

/** Bind and Execute of a statement, by the unnamed portal. */
export function run(name: string): Buffer {
  return Buffer.concat([bind('', name), execute('')]);
}

/** Parse, Bind and Execute, all unnamed. */
export function once(text: string): Buffer {
  return Buffer.concat([parse('', text), run('')]);
}

/** Bytes sent in one write, and what answers them. */
export function says(answer: string, ...parts: readonly Buffer[]): Step {
  return { send: [Buffer.concat(parts)], answer };
}

/** The same with a write for each byte. */
export function saysByteByByte(answer: string, ...parts: readonly Buffer[]): Step {
  const bytes = Buffer.concat(parts);
  return { send: [...bytes].map((_, at) => bytes.subarray(at, at + 1)), answer };
}

/**
 * Holds a dialogue and returns its transcript: what came after each step, a line a message. It waits for as many messages as a step
 * announces and takes what else there is, so that a server that answers otherwise shows it in its transcript.
 */
export async function hold(
  client: WireClient,
  dialogue: Dialogue,
  deadlineMs = Number(process.env.WIRE_DEADLINE ?? 3_000),
): Promise<string[]> {
  const lines: string[] = [];
  let closed = false;
  void client.closed.then(() => (closed = true));
  for (const [index, step] of dialogue.steps.entries()) {
    lines.push(`step ${index + 1}`);
    for (const [at, bytes] of step.send.entries()) {
      if (at > 0) await delay(step.send.length > 20 ? 0 : 5);
      if (client.socket.writable) client.socket.write(bytes);
    }
    const ends = step.answer.endsWith('!');
    const count = step.answer.length - (ends ? 1 : 0);
    const messages = await receive(client, count, deadlineMs, () => closed);
    lines.push(...messages.map(describeMessage));
    if (count === 0 && !ends) await delay(silenceMs);
    if (ends) await eventually(() => closed, { timeoutMs: deadlineMs, intervalMs: 2 }).catch(() => undefined);
    if (client.unread.length >= 5 || closed) {
      lines.push(...(await receive(client, Infinity, 0, () => true)).map(describeMessage));
    }
    if (closed) lines.push('closed');
  }
  return lines;
}

async function receive(client: WireClient, count: number, timeoutMs: number, over: () => boolean): Promise<Message[]> {
  const messages: Message[] = [];
  const deadline = performance.now() + timeoutMs;
  let left = count;
  while (left > 0) {
    if (over() && !wholeMessage(client.unread)) break;
    try {
      const message = await client.read(Math.max(deadline - performance.now(), 1));
      messages.push(message);
      if (!atAnyMoment.has(message.type)) left -= 1;
    } catch {
      break;
    }
  }
  return messages;
}

function wholeMessage(bytes: Buffer): boolean {
  return bytes.length >= 5 && bytes.length >= 1 + bytes.readInt32BE(1);
}

/** Fields of an ErrorResponse that say where in a program it was raised. */
const sourceFields = new Set(['F', 'L', 'R']);

/** A message as a line: its type, what it says in words, and whatever more it says in bytes. */
export function describeMessage(message: Message): string {
  const { type, body } = message;
  switch (type) {
    case 'E':
    case 'N': {
      const fields = Object.entries(errorFields(message)).filter(([field]) => !sourceFields.has(field));
      return `${type} ${fields.map(([field, text]) => `${field}=${text}`).join(' ')}`;
    }
    case 'T':
      return `T ${columns(message).join(', ')}`;
    case 'A': // NotificationResponse: who sent it is another process on each side
      return `A ${body.toString('latin1', 4)}`;
    case 'D':
      return body.length > 2_000 ? inShort(message) : `D ${JSON.stringify(rowValues(message))}`;
    case 'C':
      return `C ${firstText(message)}`;
    default:
      return body.length > 2_000 ? inShort(message) : `${type} ${JSON.stringify(body.toString('latin1'))}`;
  }
}

function inShort({ type, body }: Message): string {
  return `${type} of ${body.length} bytes, ${createHash('sha256').update(body).digest('hex')}`;
}

/** The columns of a RowDescription, but for the OID of their table: tables that dialogues make have different ones. */
function columns({ body }: Message): string[] {
  let at = 2;
  return Array.from({ length: body.readInt16BE(0) }, () => {
    const end = body.indexOf(0, at);
    const name = body.toString('utf8', at, end);
    const made = body.readInt32BE(end + 1) >= firstMadeOid;
    const rest = body.toString('hex', made ? end + 5 : end + 1, end + 19);
    at = end + 19;
    return `${name} ${made ? 'of a table ' : ''}${rest}`;
  });
}

/** The types of a transcript's messages, in the notation of {@link Step.answer}, a word a step. */
export function typesOf(transcript: readonly string[]): string {
  return transcript
    .filter((line) => !atAnyMoment.has(line.slice(0, line.indexOf(' '))))
    .map((line) => (line.startsWith('step ') ? ' ' : line === 'closed' ? '!' : line.slice(0, 1)))
    .join('')
    .trim();
}
