import type { Socket } from 'node:net';
import type { Logger } from 'pino';
import { monotonicNow } from '../../util/clock.ts';
import { lookName } from '../record/look-name.ts';
import { TargetState } from '../record/record-stream.ts';
import type { Outcome } from '../record/record-stream.ts';
import { MirrorTarget } from './mirror-target.ts';
import type { Connect } from './connect.ts';
import { ControlSession } from './control-session.ts';
import type { MirrorTargetHost } from './mirror-target-host.ts';
import type { FromMirrorProcess, MirrorTargetConfig, SourceLogin, ToMirrorProcess } from './mirror-process-messages.ts';
import type { ReportedMirror, TrafficReport } from '../report/traffic-report.ts';
import type { MirroredTransaction } from './mirrored-transaction.ts';
import { LogAllowance } from './log-allowance.ts';
import { PoolerLink } from './pooler-link.ts';
import type { LinkHost } from './pooler-link.ts';
import type { AnsweredRequest } from './replay-options.ts';
import { lookAt } from './safety-look.ts';
import { serverLoginOf, sourceLoginOf } from './target-options.ts';
import { SettingsRegistry } from './settings-registry.ts';
import { StatementRegistry } from './statement-registry.ts';

/** How often timeouts and lags are looked after. */
const SWEEP_MS = 100;
/** How long a removed mirror may finish what it has. */
const REMOVED_DRAIN_MS = 5000;
const DRAIN_CHECK_MS = 5;

/** The mirror process without its process: its targets and the pooler threads' links. */
export class MirrorProcess implements MirrorTargetHost, LinkHost {
  readonly connect: Connect;
  readonly statements = new StatementRegistry();
  readonly settings = new SettingsRegistry();
  readonly #logger: Logger;
  readonly #report: TrafficReport;
  readonly #tell: (message: FromMirrorProcess) => void;
  readonly #targets = new Map<number, MirrorTarget>();
  /** What may still be said of each mirror. */
  readonly #logAllowances = new Map<number, LogAllowance>();
  /** Removed from the configuration, and when that was. */
  readonly #leaving = new Map<MirrorTarget, number>();
  readonly #links = new Set<PoolerLink>();
  readonly #sweeper: NodeJS.Timeout;
  #sweepDue: NodeJS.Immediate | undefined;
  #sources: ReadonlyMap<string, SourceLogin> = new Map();
  #instance = '';
  #drain: { readonly until: number; readonly timer: NodeJS.Timeout } | undefined;

  /** `tell` sends a message to the supervisor. */
  constructor(options: {
    readonly connect: Connect;
    readonly logger: Logger;
    readonly report: TrafficReport;
    readonly tell: (message: FromMirrorProcess) => void;
  }) {
    this.connect = options.connect;
    this.#logger = options.logger;
    this.#report = options.report;
    this.#tell = options.tell;
    // Once what has come is read: where this process was held up itself, nobody else is late.
    this.#sweeper = setInterval(() => {
      this.#sweepDue = setImmediate(() => this.#sweep());
    }, SWEEP_MS);
  }

  get targets(): ReadonlyMap<number, MirrorTarget> {
    return this.#targets;
  }

  /** A message from the supervisor. */
  message(message: ToMirrorProcess): void {
    switch (message.type) {
      case 'configure':
        this.#instance = message.instance;
        void this.#configure(message).then(() => this.#tell({ type: 'configured', epoch: message.epoch }));
        return;
      case 'ping':
        this.#tell({ type: 'pong', n: message.n });
        return;
      case 'status': {
        const now = monotonicNow();
        const targets = [...this.#targets.values()].map((target) => ({
          ...target.status(now),
          comparison: this.#report.comparisonOf(target.id),
        }));
        this.#tell({ type: 'status', id: message.id, targets });
        return;
      }
      case 'configureReport':
        this.#report.configure(message.report);
        return;
      case 'logLevel':
        this.#logger.level = message.level;
        return;
      case 'queries':
        this.#tell({ type: 'queries', id: message.id, queries: this.#report.report(this.#mirrors()) });
        return;
      case 'resetStatistics':
        this.#report.reset();
        return;
      case 'resetMirror':
        this.#report.resetMirror(message.target);
        void this.#targets.get(message.target)?.reset();
        return;
      case 'drain':
        this.#startDraining(message.graceMs);
        return;
    }
  }

  /** A pooler thread's connection. */
  accept(socket: Socket): void {
    const link = new PoolerLink(socket, this);
    this.#links.add(link);
    this.#report.toldUntil(link, -Infinity);
    for (const target of this.#targets.values()) link.targetState(target.id, streamState(target));
  }

  /** Drops everything and closes everything. */
  close(): void {
    clearInterval(this.#sweeper);
    clearImmediate(this.#sweepDue);
    clearInterval(this.#drain?.timer);
    for (const target of [...this.#targets.values(), ...this.#leaving.keys()]) target.destroy();
    for (const link of [...this.#links]) link.destroy();
    this.#targets.clear();
  }

  // --- MirrorTargetHost

  objectionsTo(config: MirrorTargetConfig): Promise<readonly string[]> {
    const { connect } = this;
    const source = this.#sources.get(config.source);
    return lookAt(config, { connect, source, applicationName: lookName([this.#instance]) });
  }

  async askSource(config: MirrorTargetConfig, sql: string): Promise<(string | null)[][]> {
    const source = this.#sources.get(config.source);
    if (source === undefined) throw new Error('no login to the source is known');
    const login = sourceLoginOf(source, config.connectTimeoutMs);
    return ControlSession.with(this.connect, login, async (session) => session.look(sql));
  }

  preparedSettled(target: MirrorTarget, gid: string): void {
    this.#tell({ type: 'preparedSettled', target: target.id, gid });
  }

  stateChanged(target: MirrorTarget): void {
    if (this.#targets.get(target.id) !== target) return;
    const { source, destination } = target.config;
    const { state, reason } = target;
    const context = reason === '' ? { source, destination } : { source, destination, reason };
    this.#say(target.id, state === 'up' ? 'info' : 'warn', context, `mirror is ${state}`);
    this.#tell({ type: 'targetState', id: target.id, state, reason });
    for (const link of this.#links) link.targetState(target.id, streamState(target));
  }

  /** A mirror that comes and goes does not fill the log. */
  #say(id: number, level: 'info' | 'warn', context: object, text: string): void {
    let allowance = this.#logAllowances.get(id);
    if (allowance === undefined) this.#logAllowances.set(id, (allowance = new LogAllowance()));
    const leftOut = allowance.take(monotonicNow());
    if (leftOut === undefined) return;
    this.#logger[level](leftOut === 0 ? context : { ...context, leftOut }, text);
  }

  requestAnswered(target: MirrorTarget, transaction: MirroredTransaction, request: AnsweredRequest): void {
    this.#report.requestAnswered(target.id, transaction, request);
  }

  predecessorOf(
    target: MirrorTarget,
    transaction: MirroredTransaction,
    isLate: boolean,
  ): MirroredTransaction | undefined {
    return this.#report.predecessorOf(target.id, transaction, isLate);
  }

  // --- LinkHost

  transactionArrived(target: number, transaction: MirroredTransaction): void {
    this.#report.transactionArrived(target, transaction);
  }

  transactionEnded(target: number, transaction: MirroredTransaction, outcome: Outcome): void {
    this.#report.transactionEnded(target, transaction, outcome);
  }

  transactionMissed(target: number, change: number): void {
    this.#report.transactionMissed(target, change);
  }

  toldUntil(link: PoolerLink, sequence: number): void {
    this.#report.toldUntil(link, sequence);
  }

  /** A thread has one stream: what it sent by another, which has broken, is not read to its end. */
  linkGreeted(link: PoolerLink): void {
    for (const other of [...this.#links]) if (other !== link && other.generation === link.generation) other.destroy();
  }

  linkClosed(link: PoolerLink, error: Error | undefined): void {
    this.#links.delete(link);
    this.#report.closed(link);
    if (error) this.#logger.error({ err: error }, 'record stream broken');
  }

  /** Settles when the mirrors that have to be looked at have been. */
  async #configure(message: ToMirrorProcess & { type: 'configure' }): Promise<void> {
    const { targets: configs, look, prepared } = message;
    const before = this.#sources;
    this.#sources = new Map(message.sourceLogins.map((login) => [login.source, login]));
    const listed = new Set(configs.map(({ id }) => id));
    this.#report.compare(configs, (id) => (sql) => this.#ask(id, sql));
    for (const [id, target] of this.#targets) {
      if (listed.has(id)) continue;
      this.#targets.delete(id);
      this.#logAllowances.delete(id);
      this.#leaving.set(target, monotonicNow());
      for (const link of this.#links) link.forgetTarget(id);
    }
    const looked = configs.map((config) => {
      const known = this.#targets.get(config.id);
      if (known) {
        // A source that is another database now might be the mirror itself: nothing is sent until that was looked at.
        const isMoved = placeOf(before.get(config.source)) !== placeOf(this.#sources.get(config.source));
        if (isMoved) known.access.moved();
        return known.configure(config) || look || isMoved ? known.look() : Promise.resolve();
      }
      this.#endLeaving(config.id);
      const target = new MirrorTarget(config, this);
      this.#targets.set(config.id, target);
      target.remember(prepared.filter((one) => one.target === config.id));
      for (const link of this.#links) link.targetState(target.id, streamState(target));
      return target.look();
    });
    await Promise.all(looked);
  }

  /** A mirror that was removed a moment ago is there again: a client has one lane to it, and not two. */
  #endLeaving(id: number): void {
    for (const target of this.#leaving.keys()) {
      if (target.id !== id) continue;
      this.#leaving.delete(target);
      target.destroy();
    }
  }

  /** Asks a mirror for itself, as the first user there is. */
  #ask(id: number, sql: string): Promise<(string | null)[][]> {
    const config = this.#targets.get(id)?.config;
    const login = config && (config.fallback ?? config.users[0]);
    if (config === undefined || login === undefined) return Promise.reject(new Error('no login is known'));
    return ControlSession.with(this.connect, serverLoginOf(config, login), (session) => session.look(sql));
  }

  #mirrors(): ReportedMirror[] {
    return [...this.#targets.values()].map(({ id, config: { source, destination } }) => ({ id, source, destination }));
  }

  #sweep(): void {
    const now = monotonicNow();
    this.#report.sweep(now, SWEEP_MS);
    for (const target of this.#targets.values()) target.sweep(now);
    for (const [target, since] of this.#leaving) {
      target.sweep(now);
      if (!target.isEmpty && now - since < REMOVED_DRAIN_MS) continue;
      this.#leaving.delete(target);
      target.destroy();
    }
  }

  #startDraining(graceMs: number): void {
    clearInterval(this.#drain?.timer);
    const timer = setInterval(() => this.#checkDrained(), DRAIN_CHECK_MS);
    this.#drain = { until: monotonicNow() + graceMs, timer };
    this.#checkDrained();
  }

  #checkDrained(): void {
    if (!this.#drain) return;
    const targets = [...this.#targets.values(), ...this.#leaving.keys()];
    if (!targets.every((target) => target.isEmpty)) {
      if (monotonicNow() < this.#drain.until) return;
      for (const target of targets) target.lose();
    }
    clearInterval(this.#drain.timer);
    this.#drain = undefined;
    this.#tellWhenFlushed();
  }

  /** Drained means that the pooler threads have been told, too. */
  #tellWhenFlushed(): void {
    let missing = this.#links.size;
    if (missing === 0) return this.#tell({ type: 'drained' });
    for (const link of this.#links) {
      link.whenFlushed(() => {
        missing--;
        if (missing === 0) this.#tell({ type: 'drained' });
      });
    }
  }
}

function streamState(target: MirrorTarget): TargetState {
  if (target.state === 'refused' || target.state === 'disabled') return TargetState.Refused;
  return target.state === 'down' ? TargetState.Down : TargetState.Up;
}

function placeOf(source: SourceLogin | undefined): string {
  return JSON.stringify([source?.address, source?.database]);
}
