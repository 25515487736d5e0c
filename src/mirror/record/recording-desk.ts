import type { ParameterSet } from '../../session/parameter-set.ts';
import type { PreparedText, StatementRegistry } from '../../session/statement-names.ts';
import type { ByteBudget } from './byte-budget.ts';
import type { ClientConditions } from './client-traits.ts';
import { ComparedMirrors } from './compared-mirrors.ts';
import type { ComparedRoute } from './compared-mirrors.ts';
import { dropReasonIndex, indexOfDropReason, isNoteworthy } from './drop-reason-names.ts';
import { NAMED_ROWS, OTHER_USERS } from './mirror-counters.ts';
import type { MirrorCounters } from './mirror-counters.ts';
import { MirrorLink } from './mirror-link.ts';
import { PreparedBook } from './prepared-book.ts';
import type { PreparedExchange } from './prepared-book.ts';
import { DropReason, Outcome, TargetState } from './record-stream.ts';
import type { Stretch } from './recording-buffer.ts';
import { KeptBuffers } from './recording-buffer.ts';
import { TransactionRecorder } from './transaction-recorder.ts';

/** A mirror as a pooler thread sees it; sizes in bytes. */
export interface MirrorRoute extends ClientConditions, ComparedRoute {
  /** Names it in the record stream. */
  readonly id: number;
  readonly source: string;
  readonly destination: string;
  /** Share of transactions, 0 to 1. */
  readonly exposure: number;
  /** Transactions of one client handed over and not finished. */
  readonly queueLength: number;
  readonly maxTransactionSize: number;
  readonly enabled: boolean;
}

/** A transaction that has ended, as it is handed over. */
export interface FinishedTransaction {
  readonly startedAt: number;
  readonly endedAt: number;
  readonly flags: number;
  readonly settings: ParameterSet;
  readonly statements: Iterable<PreparedText>;
  readonly unnamed: PreparedText | undefined;
  readonly requestCount: number;
  /** Requests as the record stream carries them, `bytes` long together; valid during the call. */
  readonly recording: readonly Stretch[];
  readonly bytes: number;
}

/** Handed over, and not finished on all of its mirrors. */
interface Unfinished {
  readonly recorder: TransactionRecorder;
  readonly bytes: number;
  /** Mirror ids; -1 where it has finished. */
  readonly targets: number[];
  left: number;
}

const MIRROR = -1;
const NO_ROUTES: readonly MirrorRoute[] = [];
/** A batch is full when one client has this part of its queue in it: the queue is not to fill up with what only waits. */
const QUEUE_PARTS = 4;
const SETTINGS_REMEMBERED = 1_000;
/** PostgreSQL has fewer; what else a mirror makes up is counted as one. */
const SQLSTATES_COUNTED = 500;
const OTHER_SQLSTATES = 'other';

/**
 * Where a thread's recorders hand their transactions over: decides who gets what, keeps what is not finished within its
 * bounds, counts, and writes the record stream. `offer` is synchronous and never waits: a transaction that does not fit
 * is counted as dropped, under the reason that comes first.
 */
export class RecordingDesk {
  readonly shelf = new KeptBuffers();
  readonly registry: StatementRegistry;
  readonly bytes: ByteBudget;
  readonly prepared: PreparedBook;
  readonly #counters: MirrorCounters;
  readonly #sequence: BigInt64Array;
  readonly #nameRow: (row: number, mirror: number, user: string) => void;
  readonly #firstDropped: (mirror: number, reason: number, user: string) => void;
  /** Mirrors and reasons of which a first drop was told. */
  readonly #toldDrops = new Set<number>();
  readonly #random: () => number;
  readonly #link: MirrorLink;
  #routes = new Map<string, readonly MirrorRoute[]>();
  readonly compared: ComparedMirrors;
  readonly #states: number[] = [];
  readonly #rows = new Map<string, number>();
  readonly #errors: Map<string, number>[] = [];
  readonly #unfinished: (Unfinished | undefined)[] = [];
  readonly #freeSlots: number[] = [];
  readonly #settingsIds = new Map<string, { readonly id: number; incarnation: number }>();
  #nextSettingsId = 1;
  #nextClient = 1;
  largestTransaction = 0;

  constructor(options: {
    readonly registry: StatementRegistry;
    readonly bytes: ByteBudget;
    readonly counters: MirrorCounters;
    /** The event counter of all threads: one cell. */
    readonly sequence: BigInt64Array;
    /** A counter row was given to a mirror and user. */
    readonly nameRow: (row: number, mirror: number, user: string) => void;
    /** For the first time a transaction was dropped for a mirror for this reason (an index), which nobody had chosen. */
    readonly firstDropped?: (mirror: number, reason: number, user: string) => void;
    readonly generation: number;
    /** How other threads are told of a half of a two-phase commit. */
    readonly prepared?: PreparedExchange;
    readonly random?: () => number;
  }) {
    this.registry = options.registry;
    this.bytes = options.bytes;
    this.prepared = new PreparedBook(options.prepared);
    this.#counters = options.counters;
    this.#sequence = options.sequence;
    this.#nameRow = options.nameRow;
    this.#firstDropped = options.firstDropped ?? (() => undefined);
    this.#random = options.random ?? Math.random;
    this.#link = new MirrorLink(options.generation, {
      acknowledged: (slot, target, outcome, reason, sqlstates) =>
        this.#acknowledged(slot, target, outcome, indexOfDropReason(reason), sqlstates),
      targetState: (target, state) => (this.#states[target] = state),
      connected: () => this.compared.connected(),
      closed: () => this.#linkClosed(),
    });
    this.compared = new ComparedMirrors({
      link: this.#link,
      random: this.#random,
      sequence: () => Number(Atomics.load(this.#sequence, 0)),
    });
  }

  /** Takes over the mirrors; it counts from each client's next transaction. */
  configure(routes: readonly MirrorRoute[]): void {
    const bySource = new Map<string, MirrorRoute[]>();
    this.largestTransaction = 0;
    for (const route of routes) {
      bySource.set(route.source, [...(bySource.get(route.source) ?? []), route]);
      this.largestTransaction = Math.max(this.largestTransaction, route.maxTransactionSize);
    }
    this.#routes = bySource;
    this.compared.configure(routes);
  }

  /** A mirror process listens at the path; `undefined`: there is none. */
  connect(path: string | undefined): void {
    this.#link.connect(path);
  }

  /** Transactions handed over and not finished. */
  get unfinished(): number {
    return this.#unfinished.length - this.#freeSlots.length;
  }

  /** Sends what is batched now. */
  flush(): void {
    this.#link.flush();
  }

  /** Sends what is batched, and ends. */
  close(): void {
    this.compared.close();
    this.#link.close();
  }

  /** A recorder for a client that has logged in. */
  open(options: { database: string; user: string; settings: ParameterSet }): TransactionRecorder {
    const recorder = new TransactionRecorder(this, { id: this.#nextClient++, ...options });
    this.compared.add(recorder);
    return recorder;
  }

  routes(source: string): readonly MirrorRoute[] {
    return this.#routes.get(source) ?? NO_ROUTES;
  }

  /** Whether any transaction of the source might be mirrored. */
  anyRoute(source: string): boolean {
    return this.routes(source).some((route) => route.enabled && route.exposure > 0);
  }

  /** The next number of the event counter. */
  nextSequence(): number {
    return Number(Atomics.add(this.#sequence, 0, 1n));
  }

  /** From 0 to 1, 1 excluded. */
  roll(): number {
    return this.#random();
  }

  /** Whether a transaction of the client is one for the mirror: -1, or the index of the reason why not. */
  choose(route: MirrorRoute, recorder: TransactionRecorder, fresh: number): number {
    const { traits, settings } = recorder;
    if (!traits.suits(route, settings)) return dropReasonIndex.filtered;
    if (route.exposure >= 1) return MIRROR;
    return traits.place(route.sticky, settings, fresh) < route.exposure ? MIRROR : dropReasonIndex.exposure;
  }

  /**
   * At a transaction's start: -1 to record it for the mirror, or the index of the reason not to, where `choice` is -1 or
   * the reason found so far.
   */
  decide(route: MirrorRoute, choice: number): number {
    const state = this.#states[route.id];
    if (!route.enabled || state === TargetState.Refused) return dropReasonIndex.refused;
    const isEarly = choice === dropReasonIndex.filtered || choice === dropReasonIndex.exposure;
    if (isEarly) return choice;
    if (!this.#link.connected || state === TargetState.Down) return dropReasonIndex.mirror_down;
    return choice;
  }

  /** At its end: -1 where the mirror's queue has room for it. */
  admit(recorder: TransactionRecorder, route: MirrorRoute): number {
    if (!this.#link.connected) return dropReasonIndex.mirror_down;
    return (recorder.depths[route.id] ?? 0) >= route.queueLength ? dropReasonIndex.queue_full : MIRROR;
  }

  dropped(recorder: TransactionRecorder, route: MirrorRoute, reason: number): void {
    this.#counters.dropped(this.#rowOf(recorder, route.id), reason);
    if (isNoteworthy[reason] === true) this.#tellDrop(route.id, reason, recorder.user);
    this.compared.missed(route, recorder.notes.change);
  }

  /** A client's session on a mirror lacks a transaction: until that has another one, nothing more is sent for it. */
  sessionLost(recorder: TransactionRecorder, route: MirrorRoute): void {
    if (recorder.announced !== this.#link.incarnation || !this.#link.connected) return;
    this.#link.writer.sessionLost(recorder.id, route.id);
    this.#link.flushSoon();
  }

  handOver(recorder: TransactionRecorder, routes: readonly MirrorRoute[], transaction: FinishedTransaction): void {
    const { bytes } = transaction;
    const targets: number[] = [];
    if (recorder.batch !== this.#link.batch) recorder.batched = 0;
    recorder.batch = this.#link.batch;
    recorder.batched++;
    let isFull = false;
    for (const route of routes) {
      targets.push(route.id);
      isFull ||= recorder.batched * QUEUE_PARTS >= route.queueLength;
      recorder.depths[route.id] = (recorder.depths[route.id] ?? 0) + 1;
      this.#counters.queued(this.#rowOf(recorder, route.id), bytes);
    }
    const slot = this.#freeSlots.pop() ?? this.#unfinished.length;
    this.#unfinished[slot] = { recorder, bytes, targets, left: targets.length };
    this.#declare(recorder, transaction);
    const writer = this.#link.writer;
    writer.transactionInParts(
      {
        slot,
        client: recorder.id,
        settings: this.#settingsId(transaction.settings),
        unnamedStatement: transaction.unnamed?.id ?? 0,
        flags: transaction.flags,
        startedAt: transaction.startedAt,
        endedAt: transaction.endedAt,
        targets,
        requestCount: transaction.requestCount,
      },
      transaction.recording,
      bytes,
    );
    for (const text of transaction.statements) if (text.references === 0) this.forgetStatement(text);
    if (isFull) this.#link.flush();
    else this.#link.flushSoon();
  }

  /** Nobody refers to a statement text any more. */
  forgetStatement(text: PreparedText): void {
    if (text.toldIncarnation !== this.#link.incarnation || !this.#link.connected) return;
    text.toldIncarnation = 0;
    this.#link.writer.forgetStatement(text.id);
    this.#link.flushSoon();
  }

  clientClosed(recorder: TransactionRecorder): void {
    this.compared.remove(recorder);
    if (recorder.announced !== this.#link.incarnation || !this.#link.connected) return;
    this.#link.writer.clientGone(recorder.id);
    this.#link.flushSoon();
  }

  /** Requests that erred on a mirror and not on the source, by counter row and SQLSTATE. */
  get errors(): readonly ReadonlyMap<string, number>[] {
    return this.#errors;
  }

  /** RESET STATS. */
  resetCounters(): void {
    for (const row of this.#rows.values()) {
      this.#counters.reset(row);
      this.#errors[row]?.clear();
    }
  }

  /** What the transaction refers to is declared before it, once for each mirror process. */
  #declare(recorder: TransactionRecorder, transaction: FinishedTransaction): void {
    const incarnation = this.#link.incarnation;
    const writer = this.#link.writer;
    if (recorder.announced !== incarnation) {
      recorder.announced = incarnation;
      writer.client(recorder.id, recorder.database, recorder.user);
    }
    for (const text of transaction.statements) this.#tell(text, text.mirrorName);
    if (transaction.unnamed !== undefined) this.#tell(transaction.unnamed, transaction.unnamed.name);
  }

  #tell(text: PreparedText, name: string): void {
    if (text.toldIncarnation === this.#link.incarnation) return;
    text.toldIncarnation = this.#link.incarnation;
    this.#link.writer.statement(text.id, name, text.definition);
  }

  #settingsId(settings: ParameterSet): number {
    if (settings.entries.size === 0) return 0;
    const { incarnation, writer } = this.#link;
    let known = this.#settingsIds.get(settings.key);
    if (known === undefined) {
      known = { id: this.#nextSettingsId++, incarnation: 0 };
      this.#forgetOldSettings();
      this.#settingsIds.set(settings.key, known);
    }
    if (known.incarnation !== incarnation) {
      known.incarnation = incarnation;
      writer.settings(known.id, settings.entries);
    }
    return known.id;
  }

  #forgetOldSettings(): void {
    if (this.#settingsIds.size < SETTINGS_REMEMBERED) return;
    const oldest = this.#settingsIds.entries().next().value;
    if (oldest === undefined) return;
    this.#settingsIds.delete(oldest[0]);
    if (oldest[1].incarnation === this.#link.incarnation) this.#link.writer.forgetSettings(oldest[1].id);
  }

  /** The recorder remembers its rows: a name is not put together for each transaction. */
  #rowOf(recorder: TransactionRecorder, mirror: number): number {
    return (recorder.rows[mirror] ??= this.#row(mirror, recorder.user));
  }

  #row(mirror: number, user: string): number {
    const name = `${mirror} ${user}`;
    let row = this.#rows.get(name);
    if (row === undefined) {
      if (this.#rows.size >= NAMED_ROWS && user !== OTHER_USERS) return this.#row(mirror, OTHER_USERS);
      row = this.#rows.size;
      this.#rows.set(name, row);
      this.#nameRow(row, mirror, user);
    }
    return row;
  }

  #tellDrop(mirror: number, reason: number, user: string): void {
    const key = mirror * isNoteworthy.length + reason;
    if (this.#toldDrops.has(key)) return;
    this.#toldDrops.add(key);
    this.#firstDropped(mirror, reason, user);
  }

  #acknowledged(slot: number, target: number, outcome: Outcome, reason: number, sqlstates: readonly string[]): void {
    const unfinished = this.#unfinished[slot];
    const index = unfinished?.targets.indexOf(target) ?? -1;
    if (unfinished === undefined || index < 0) return;
    unfinished.targets[index] = -1;
    const { recorder, bytes } = unfinished;
    recorder.depths[target] = (recorder.depths[target] ?? 1) - 1;
    const row = this.#rowOf(recorder, target);
    this.#counters.finished(row, bytes, outcome, reason);
    if (outcome === Outcome.Dropped && isNoteworthy[reason] === true) this.#tellDrop(target, reason, recorder.user);
    if (sqlstates.length > 0) this.#countErrors(row, sqlstates);
    if (--unfinished.left > 0) return;
    this.#unfinished[slot] = undefined;
    this.#freeSlots.push(slot);
    recorder.bytes.finished(bytes);
  }

  #countErrors(row: number, sqlstates: readonly string[]): void {
    const errors = (this.#errors[row] ??= new Map<string, number>());
    for (const sqlstate of sqlstates) {
      const name = errors.has(sqlstate) || errors.size < SQLSTATES_COUNTED ? sqlstate : OTHER_SQLSTATES;
      errors.set(name, (errors.get(name) ?? 0) + 1);
    }
  }

  /** The mirror process is gone: nobody knows what became of what it had. */
  #linkClosed(): void {
    this.#states.length = 0;
    for (let slot = 0; slot < this.#unfinished.length; slot++) {
      const targets = this.#unfinished[slot]?.targets.filter((target) => target >= 0) ?? [];
      for (const target of targets) {
        this.#acknowledged(slot, target, Outcome.Dropped, indexOfDropReason(DropReason.Lost), []);
      }
    }
  }
}
