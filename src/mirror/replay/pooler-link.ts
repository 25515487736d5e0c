import type { Socket } from 'node:net';
import { AcknowledgementWriter } from '../record/acknowledgement-stream.ts';
import { DropReason, Outcome, RECORD_STREAM_VERSION, RecordStreamError } from '../record/record-stream.ts';
import type { TargetState } from '../record/record-stream.ts';
import { RecordStreamReader } from '../record/record-stream-reader.ts';
import type { RecordedTransaction, RecordStreamHandler } from '../record/record-stream-reader.ts';
import { DeclaredStatements } from './declared-statements.ts';
import { inspect } from './inspect.ts';
import type { Lane } from './lane.ts';
import { loseSession } from './lane-session.ts';
import type { MirrorTarget } from './mirror-target.ts';
import type { MirroredTransaction, TransactionOrigin } from './mirrored-transaction.ts';
import { FRESH_LOGIN } from './session-settings.ts';
import type { SessionSettings } from './session-settings.ts';
import type { SettingsRegistry } from './settings-registry.ts';
import type { StatementRegistry } from './statement-registry.ts';
import type { StatementLookup } from './statement-tracker.ts';

/** What all links of the process have in common. */
export interface LinkHost {
  readonly targets: ReadonlyMap<number, MirrorTarget>;
  readonly statements: StatementRegistry;
  readonly settings: SettingsRegistry;
  /** A target is to get it, or at least to drop it. */
  transactionArrived(target: number, transaction: MirroredTransaction): void;
  /** It was acknowledged. */
  transactionEnded(target: number, transaction: MirroredTransaction, outcome: Outcome): void;
  /** One ended on the source that will not come; what it may have changed (`change-notes.ts`). */
  transactionMissed(target: number, change: number): void;
  /** Of what ended on the source before this number of its event counter, nothing more comes by this link. */
  toldUntil(link: PoolerLink, sequence: number): void;
  linkClosed(link: PoolerLink, error: Error | undefined): void;
  /** It is known whose it is. */
  linkGreeted(link: PoolerLink): void;
}

interface LinkClient {
  readonly user: string;
  /** By target id; undefined where there is no login for the user. */
  readonly lanes: Map<number, { readonly target: MirrorTarget; readonly lane: Lane | undefined }>;
}

const NONE: readonly string[] = [];
/** Acknowledgements are sent together when the oldest has waited so long, or so many bytes are there. */
const BATCH_MS = 3;
const BATCH_BYTES = 4_096;

/**
 * One pooler thread's record stream: what it declared, its clients' lanes, and the acknowledgements on their way back,
 * in batches. When the stream ends its lanes finish what they have, which counts as lost on the other side; where the thread
 * lives and has another stream, what its clients do then follows that.
 */
export class PoolerLink implements RecordStreamHandler, TransactionOrigin {
  readonly #socket: Socket;
  readonly #host: LinkHost;
  readonly #reader = new RecordStreamReader(this);
  readonly #acknowledgements = new AcknowledgementWriter();
  readonly #declared: DeclaredStatements;
  readonly #settings = new Map<number, SessionSettings>();
  readonly #clients = new Map<number, LinkClient>();
  readonly #flush = (): void => this.#writeAcknowledgements();
  #timer: NodeJS.Timeout | undefined;
  #closed = false;

  /** Names the thread, whose clients' ids are the same on its next stream; undefined as long as it has not said it. */
  generation: number | undefined;

  readonly statements: StatementLookup = (name) => this.#declared.named(name);

  constructor(socket: Socket, host: LinkHost) {
    this.#socket = socket;
    this.#host = host;
    this.#declared = new DeclaredStatements(host.statements);
    socket.on('data', (chunk: Buffer) => this.#received(chunk));
    socket.on('error', () => undefined);
    socket.on('close', () => this.#close(undefined));
  }

  // --- TransactionOrigin

  acknowledge(
    transaction: MirroredTransaction,
    target: number,
    outcome: Outcome,
    reason: DropReason | 0,
    sqlstates: readonly string[],
  ): void {
    this.#host.transactionEnded(target, transaction, outcome);
    if (this.#closed) return;
    this.#declared.finished(transaction.epoch);
    this.#acknowledgements.acknowledge(transaction.recorded.slot, target, outcome, reason, sqlstates);
    this.#flushSoon();
  }

  targetState(target: number, state: TargetState): void {
    if (this.#closed) return;
    this.#acknowledgements.targetState(target, state);
    this.#flushSoon();
  }

  destroy(): void {
    this.#socket.destroy();
    this.#close(undefined);
  }

  /** Sends what is to be acknowledged, and calls back when the kernel has it. */
  whenFlushed(callback: () => void): void {
    this.#writeAcknowledgements();
    this.#socket.write('', () => callback());
  }

  /** A target is gone: what its id meant is not known any more. */
  forgetTarget(id: number): void {
    for (const client of this.#clients.values()) client.lanes.delete(id);
  }

  // --- RecordStreamHandler

  hello(version: number, generation: number): void {
    if (version !== RECORD_STREAM_VERSION) throw new RecordStreamError(`record stream of version ${version}`);
    this.generation = generation;
    this.#host.linkGreeted(this);
  }

  statement(id: number, name: string, definition: Buffer): void {
    this.#declared.declare(id, name, definition);
  }

  forgetStatement(id: number): void {
    this.#declared.forget(id);
  }

  settings(id: number, values: Map<string, string>): void {
    this.forgetSettings(id);
    this.#settings.set(id, this.#host.settings.acquire(values));
  }

  forgetSettings(id: number): void {
    const settings = this.#settings.get(id);
    if (!settings) return;
    this.#settings.delete(id);
    this.#host.settings.release(settings);
  }

  client(id: number, _database: string, user: string): void {
    this.#clients.set(id, { user, lanes: new Map() });
  }

  clientGone(id: number): void {
    const client = this.#clients.get(id);
    this.#clients.delete(id);
    if (client) endLanes(client);
  }

  missed(target: number, change: number): void {
    this.#host.transactionMissed(target, change);
  }

  sessionLost(client: number, target: number): void {
    const entry = this.#clients.get(client)?.lanes.get(target);
    if (entry?.lane !== undefined) loseSession(entry.lane);
  }

  toldUntil(sequence: number): void {
    this.#host.toldUntil(this, sequence);
  }

  transaction(recorded: RecordedTransaction): void {
    const client = this.#clients.get(recorded.client);
    if (this.generation === undefined || !client)
      throw new RecordStreamError('transaction of a client that was not declared');
    const settings = recorded.settings === 0 ? FRESH_LOGIN : this.#settings.get(recorded.settings);
    if (!settings) throw new RecordStreamError('settings that were not declared');
    const unnamed = this.#declared.get(recorded.unnamedStatement);
    const { reason, ...inspection } = inspect(recorded, settings, unnamed, this.statements);
    const targets = recorded.targets;
    const epoch = this.#declared.arrived(targets.length);
    const transaction = { origin: this, recorded, epoch, settings, unnamed, ...inspection };
    for (let i = 0; i < targets.length; i++) this.#host.transactionArrived(targets[i] ?? 0, transaction);
    for (let i = 0; i < targets.length; i++) this.#dispatch(transaction, client, targets[i] ?? 0, reason);
  }

  #dispatch(transaction: MirroredTransaction, client: LinkClient, id: number, reason: DropReason | 0): void {
    let entry = client.lanes.get(id);
    if (entry === undefined || entry.lane === undefined) {
      const target = this.#host.targets.get(id);
      if (!target) {
        this.acknowledge(transaction, id, Outcome.Dropped, DropReason.Lost, NONE);
        return;
      }
      entry = { target, lane: target.laneFor(client.user, `${this.generation} ${transaction.recorded.client}`) };
      client.lanes.set(id, entry);
    }
    const { target, lane } = entry;
    const refusal = target.refusalOf(transaction) || reason || (lane ? 0 : DropReason.NoUser);
    if (!lane) return target.drop(transaction, refusal || DropReason.NoUser);
    target.accept(transaction, lane, refusal);
    // What has to wait must not keep the whole chunk that it came in.
    if (lane.queue.length > 0) own(transaction.recorded);
  }

  // --- the socket

  #received(chunk: Buffer): void {
    try {
      this.#reader.push(chunk);
    } catch (error) {
      // A bug elsewhere must not pass for a broken stream.
      if (!(error instanceof RecordStreamError)) throw error;
      this.#socket.destroy();
      this.#close(error);
    }
  }

  #flushSoon(): void {
    // Each write wakes the pooler thread up, between the requests that it is there for.
    if (this.#acknowledgements.length >= BATCH_BYTES) this.#writeAcknowledgements();
    else this.#timer ??= setTimeout(this.#flush, BATCH_MS);
  }

  #writeAcknowledgements(): void {
    clearTimeout(this.#timer);
    this.#timer = undefined;
    if (this.#closed || this.#acknowledgements.length === 0) return;
    this.#socket.write(this.#acknowledgements.take());
  }

  #close(error: Error | undefined): void {
    if (this.#closed) return;
    this.#closed = true;
    clearTimeout(this.#timer);
    for (const client of this.#clients.values()) endLanes(client);
    this.#clients.clear();
    this.#declared.close();
    for (const settings of this.#settings.values()) this.#host.settings.release(settings);
    this.#host.linkClosed(this, error);
  }
}

function endLanes(client: LinkClient): void {
  for (const { target, lane } of client.lanes.values()) {
    if (lane) target.endLane(lane);
  }
}

const owned = new WeakSet<RecordedTransaction>();

function own(recorded: RecordedTransaction): void {
  if (owned.has(recorded)) return;
  owned.add(recorded);
  const copy = Buffer.allocUnsafeSlow(recorded.recording.length);
  recorded.recording.copy(copy);
  recorded.recording = copy;
}
