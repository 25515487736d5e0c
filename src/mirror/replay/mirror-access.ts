import { monotonicNow } from '../../util/clock.ts';
import { Breaker } from './breaker.ts';
import type { MirrorState } from './mirror-process-messages.ts';
import { isLoginRefusal } from './safety-look.ts';
import { SafetyGate } from './safety-gate.ts';

/** What the access to a mirror asks of it. */
export interface MirrorAccessHost {
  /** Why the mirror must not be used. Rejects where that cannot be found out. */
  objections(): Promise<readonly string[]>;
  /** Tries one connection, which is told with `connected` or `failed`. */
  probe(): void;
  /** It cannot be reached: what waits for it is to be dropped. */
  lost(): void;
  /** It must not be used: what runs is to be given up, too. */
  refused(): void;
  /** State or reason are others than those told last. */
  changed(): void;
}

/** So many connections in a row that were lost before they finished anything are as good as none. */
const USELESS_CONNECTIONS = 3;
/** So long a mirror that is back has the one connection that was tried; then that one is slow, and not useless. */
const TRIAL_MS = 1000;

/**
 * Whether a mirror may be used, and can be. Until it was looked at it counts as down. What is found against it keeps it
 * refused until it is looked at again, which the configuration asks for. A breaker opens when it cannot be reached, or
 * when its connections are good for nothing; one that was lost is looked at before it is connected to again.
 *
 * One that is back is on trial: it gets one connection, and the first that is good for nothing opens the breaker again,
 * for longer. A mirror that lets in and then talks nonsense costs hardly more than one that lets nobody in.
 */
export class MirrorAccess {
  isEnabled: boolean;
  readonly #host: MirrorAccessHost;
  readonly #breaker: Breaker;
  readonly #gate: SafetyGate;
  #refusal = '';
  /** It was looked at, and nothing was against it, since its address was last changed. */
  #isReached = false;
  /** State and refusal that were told last. */
  #told = '';
  #uselessConnections = 0;
  /** So long it is on trial, by the monotonic clock; 0: it is not. */
  #trialUntil = 0;
  /** Counts changes of the address: what is found out about an earlier one does not matter. */
  #address = 0;

  constructor(host: MirrorAccessHost, isEnabled: boolean) {
    this.#host = host;
    this.isEnabled = isEnabled;
    this.#gate = new SafetyGate(async () => host.objections());
    this.#breaker = new Breaker({ probe: () => host.probe(), changed: () => this.#breakerChanged() });
  }

  get state(): MirrorState {
    if (!this.isEnabled) return 'disabled';
    if (this.#refusal !== '') return 'refused';
    return this.isOff ? 'down' : 'up';
  }

  get reason(): string {
    return this.#refusal || this.#breaker.reason || (this.#isReached ? '' : 'not looked at yet');
  }

  /** Nothing can be sent. A mirror that was disabled still gets what is on its way. */
  get isOff(): boolean {
    return this.isGivenUp || !this.#isReached;
  }

  /** Nobody is to wait for it. One whose address changed a moment ago is waited for. */
  get isGivenUp(): boolean {
    return this.#refusal !== '' || this.#breaker.isOpen;
  }

  /** It was let back a moment ago, and has not finished anything yet: one connection is enough. */
  get isOnTrial(): boolean {
    return this.#trialUntil > 0;
  }

  /** Ends a trial whose time is up, or that was passed: true then. */
  endTrial(now: number): boolean {
    if (!this.isOnTrial || (now < this.#trialUntil && this.#breaker.isOnProbation)) return false;
    this.#trialUntil = 0;
    return true;
  }

  /** The next connection needs no look before it. */
  get isPassed(): boolean {
    return this.#gate.isPassed;
  }

  /** Looks at the mirror anew. Never rejects: the state tells what came of it. */
  async look(): Promise<void> {
    if (!this.isEnabled) return;
    this.#gate.forget();
    const address = this.#address;
    try {
      const objections = await this.#gate.objections();
      if (address !== this.#address) return;
      if (objections.length > 0) return this.#refuse(objections);
      this.#refusal = '';
      if (this.#breaker.isOpen) return this.#host.probe();
      this.#isReached = true;
    } catch (error) {
      if (address !== this.#address) return;
      // What could not be looked at stays refused. Whom it does not let in cannot do anything there.
      if (isLoginRefusal(error)) this.#isReached = true;
      else if (this.#refusal === '') this.#breaker.fail((error as Error).message);
    }
    this.tell();
  }

  /** Whether a connection may be opened now. Rejects where that cannot be found out. */
  async mayConnect(): Promise<boolean> {
    const objections = await this.#gate.objections();
    if (objections.length > 0) this.#refuse(objections);
    return objections.length === 0;
  }

  /** Its address or logins are others: nothing is known of it. */
  moved(): void {
    this.#address++;
    this.#breaker.succeed();
    this.#breaker.proved();
    this.#trialUntil = 0;
    this.#refusal = '';
    this.#isReached = false;
    this.#gate.forget();
  }

  /** A connection was opened, or refused by a server that is there. */
  connected(): void {
    if (this.#gate.isPassed) this.#isReached = true;
    if (this.#breaker.isOpen) this.#trialUntil = monotonicNow() + TRIAL_MS;
    this.#breaker.succeed();
    this.tell();
  }

  /** No connection could be opened. */
  failed(reason: string): void {
    this.#breaker.fail(reason);
  }

  /** A connection ended by itself. `wasUseful`: it had finished a transaction. */
  connectionLost(reason: string, wasUseful: boolean): void {
    this.#gate.forget();
    if (wasUseful) return;
    this.#uselessConnections++;
    if (this.#uselessConnections < USELESS_CONNECTIONS && !this.#breaker.isOnProbation) return;
    this.#uselessConnections = 0;
    this.#breaker.fail(reason);
  }

  /** A connection finished a transaction. */
  connectionUsed(): void {
    this.#uselessConnections = 0;
    this.#breaker.proved();
  }

  /** Probes no more, whatever a look that is under way comes to. */
  stop(): void {
    this.#address++;
    this.#breaker.stop();
  }

  /** Tells of a change once; of a mirror that is waited for for the first time, nothing. */
  tell(): void {
    const now = this.#refusal === '' ? this.state : `${this.state} ${this.#refusal}`;
    const isStarting = this.#told === '' && !this.#breaker.isOpen && now === 'down';
    if (now === this.#told || isStarting) return;
    this.#told = now;
    this.#host.changed();
  }

  #refuse(objections: readonly string[]): void {
    this.#refusal = objections.join('; ');
    this.#isReached = false;
    this.#breaker.succeed();
    this.#host.refused();
    this.tell();
  }

  #breakerChanged(): void {
    if (this.#breaker.isOpen) {
      this.#gate.forget();
      this.#host.lost();
    }
    this.tell();
  }
}
