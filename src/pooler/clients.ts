import { randomBytes } from 'node:crypto';
import { isSameKey } from '../protocol/cancel-key.ts';
import type { CancelKey } from '../protocol/cancel-key.ts';
import { PROTOCOL_3_2 } from '../protocol/frontend-messages.ts';
import { ClientSession } from './client-session.ts';
import type { ReplicationSession } from './replication-session.ts';

/** A client's process id: its thread above these bits, a running number below. */
const THREAD_SHIFT = 22;
const NUMBER_MASK = (1 << THREAD_SHIFT) - 1;
/** Bytes of a client's cancel key: protocol 3.0 has room for four; later ones as PostgreSQL's own (MAX_CANCEL_KEY_LENGTH). */
const SHORT_KEY_BYTES = 4;
const LONG_KEY_BYTES = 32;

/** The logged-in clients of a thread, by process id. */
export class Clients {
  readonly #thread: number;
  readonly #sessions = new Map<number, ClientSession>();
  readonly #replications = new Map<number, ReplicationSession>();
  #number = 1;

  constructor(thread: number) {
    this.#thread = thread;
  }

  get size(): number {
    return this.#sessions.size + this.#replications.size;
  }

  /** Those who share the pools. */
  get sessions(): Iterable<ClientSession> {
    return this.#sessions.values();
  }

  get replications(): Iterable<ReplicationSession> {
    return this.#replications.values();
  }

  /** All, as they are now. */
  everybody(): readonly (ClientSession | ReplicationSession)[] {
    return [...this.#sessions.values(), ...this.#replications.values()];
  }

  add(session: ClientSession | ReplicationSession): void {
    const { processId } = session.options;
    if (session instanceof ClientSession) this.#sessions.set(processId, session);
    else this.#replications.set(processId, session);
  }

  /** False: it was not there any more. */
  remove({ options: { processId } }: ClientSession | ReplicationSession): boolean {
    return this.#sessions.delete(processId) || this.#replications.delete(processId);
  }

  /** A key that no client has, as long as the protocol version allows. */
  newKey(protocolVersion: number): CancelKey {
    let processId: number;
    do {
      this.#number = (this.#number + 1) & NUMBER_MASK;
      processId = (this.#thread << THREAD_SHIFT) | this.#number;
    } while (this.#number === 0 || this.has(processId));
    const secretKey = randomBytes(protocolVersion < PROTOCOL_3_2 ? SHORT_KEY_BYTES : LONG_KEY_BYTES);
    return { processId, secretKey: secretKey.toString('latin1') };
  }

  /** Whether a client has this process id. */
  has(processId: number): boolean {
    return this.#find(processId) !== undefined;
  }

  /** A CancelRequest; false: it is for no client here. A key that is not quite right is ignored, as PostgreSQL does. */
  cancel(key: CancelKey): boolean {
    const session = this.#find(key.processId);
    if (session === undefined || !isSameKey(session.options, key)) return false;
    session.cancel();
    return true;
  }

  #find(processId: number): ClientSession | ReplicationSession | undefined {
    return this.#sessions.get(processId) ?? this.#replications.get(processId);
  }
}

/** Whether a client has logged in within this time and has asked nothing yet. */
export function isNew(session: ClientSession | ReplicationSession, withinMs: number): boolean {
  return session instanceof ClientSession && !session.hasAsked && Date.now() - session.connectedAt < withinMs;
}
