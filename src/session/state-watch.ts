import { namedParameters, parseSet } from './set-statement.ts';
import { isAscii } from './settings.ts';
import { SpokenSettings } from './spoken-settings.ts';
import { Touch } from './state-touches.ts';

/** Anything whose statement text can be asked for. */
export interface TextSource {
  readonly text: string;
}

const NO_PARAMETERS: ReadonlySet<string> = new Set();
/** So many names are kept. */
const NAMES = 10_000;
const TO_SAVEPOINT = /\brollback\b[^;]*\bto\b/i;

/**
 * Notes what a transaction does to its session, from its statements' texts and from the command tags of those that were
 * run, and says at its end what must be done about it: nothing, as nearly always; take over settings that are plain from
 * a lone SET; or ask the session itself (session-audit.ts).
 */
export class StateWatch {
  #auditDue = false;
  /** A SET was run: what the server reports is its doing. */
  #setRan = false;
  /** Parameters that the server reported although nothing was seen to set any, and their values before. */
  #unasked: Map<string, string | undefined> | undefined;
  #sets: [string, string][] | undefined;
  #parameters: Set<string> | undefined;
  #spoken: SpokenSettings | undefined;
  /** The request that is being answered has failed, in a block. */
  #failedInBlock = false;
  /** What was sent may change what the next request means: that waits until it is answered. */
  awaited = false;
  /** Settings are perhaps being taken back: what comes next may need those of the client's login. */
  resetting = false;
  /** The client has asked SQL for process ids: it knows servers by them. */
  knowsServers = false;
  /** LOAD was run: nothing tells what it did, and nothing undoes it. */
  loaded = false;
  /** It has perhaps connections of dblink's: the session does not tell of them, and nothing but its end closes all. */
  connections = false;
  /** It has seeded random(): nothing tells of that either, and nothing but the session's end takes it back. */
  seeded = false;
  /** The client relies on what sequences gave its session. */
  sequences = false;

  /** A statement with these touches is sent; its text is asked for only where that matters. */
  sent(touches: number, source: TextSource): void {
    if ((touches & Touch.SetConfig) !== 0) this.#setConfig(source.text);
    if ((touches & Touch.Reset) !== 0) this.resetting = true;
    if ((touches & Touch.ProcessId) !== 0) this.knowsServers = true;
    if ((touches & (Touch.Reset | Touch.Forget)) !== 0) this.awaited = true;
    if ((touches & Touch.Connections) !== 0) this.connections = this.#auditDue = true;
    if ((touches & Touch.Seed) !== 0) this.seeded = this.#auditDue = true;
    if ((touches & (Touch.AdvisoryLock | Touch.Temporary)) !== 0) this.#auditDue = true;
  }

  /** The same of a part of a text that is too long to be kept: nobody can be asked later which parameters it has set. */
  sentInPart(touches: number, part: string): void {
    this.sent(touches, { text: part });
    for (const name of namedParameters(part)) this.#isSet(name);
  }

  /** A SET was run. `autocommit`: nothing but an error of the same request can undo it. */
  set(source: TextSource | undefined, autocommit: boolean, isReported: (name: string) => boolean): void {
    this.#setRan = true;
    this.#unasked = undefined;
    const parsed = source === undefined ? undefined : parseSet(source.text);
    if (parsed?.kind === 'local') return;
    if (parsed?.kind === 'set') {
      // The server tells of it by itself, and of its undoing.
      if (isReported(parsed.name)) {
        this.#said.set(parsed.name);
        return;
      }
      this.#isSet(parsed.name);
      // Of other letters nobody knows in which encoding they came.
      if (autocommit && isAscii(parsed.value)) {
        (this.#sets ??= []).push([parsed.name, parsed.value]);
        return;
      }
    }
    for (const name of parsed?.kind === 'unclear' ? parsed.names : []) this.#isSet(name);
    this.#auditDue = true;
    if (source !== undefined) this.#said.ran(source.text);
  }

  /** A RESET was run, or a DO that may set something. */
  ran(source: TextSource | undefined): void {
    this.#auditDue = true;
    if (source !== undefined) this.#said.ran(source.text);
  }

  /** DISCARD ALL was run. */
  discarded(): void {
    this.#auditDue = true;
    this.#said.allTakenBack();
  }

  /**
   * The server reported a parameter. Where no SET was run, and what was reported is not taken back before the transaction
   * ends, either a function has set it or the server's own configuration has changed: the session is asked which.
   */
  reported(name: string, before: string | undefined, value: string): void {
    if (this.#setRan || before === value) return;
    const unasked = (this.#unasked ??= new Map());
    if (!unasked.has(name)) unasked.set(name, before);
    else if (unasked.get(name) === value) unasked.delete(name);
  }

  /** The client asks for what sequences gave its session. */
  asksForSequences(): void {
    if (this.sequences) return;
    this.sequences = true;
    this.#auditDue = true;
  }

  /** Something was run whose effect only the session itself can tell. */
  unclear(): void {
    this.#auditDue = true;
  }

  /** A request failed: what was set before in it may be undone, unless that was in a block, which goes on. */
  failed(inBlock: boolean): void {
    if (this.#sets !== undefined) this.#auditDue = true;
    if (inBlock) this.#failedInBlock = true;
    else this.#spoken = undefined;
  }

  /** A request was answered, and its block goes on: what was set may yet be undone. */
  blockGoesOn(): void {
    if (this.#sets !== undefined) this.#auditDue = true;
    this.#failedInBlock = false;
  }

  /** A request was answered, and no block is open: an error in it was that of its COMMIT. */
  blockOver(): void {
    if (this.#failedInBlock) this.#spoken = undefined;
    this.#failedInBlock = false;
  }

  /** A ROLLBACK was run: of all, or to a savepoint, which may have been set before or after. */
  rolledBack(source: TextSource | undefined): void {
    if (this.#spoken === undefined) return;
    if (source === undefined || TO_SAVEPOINT.test(source.text)) this.#auditDue = true;
    else this.#spoken = undefined;
  }

  /** What the ended transaction's statements say that they set or took back. */
  get spoken(): SpokenSettings | undefined {
    return this.#spoken;
  }

  /** Parameters with a dot that were ever set: pg_settings does not list them. */
  get parameters(): ReadonlySet<string> {
    return this.#parameters ?? NO_PARAMETERS;
  }

  /** Parameters of which only the session can tell whether they are settings of the client. */
  get doubted(): readonly string[] {
    return this.#unasked === undefined ? [] : [...this.#unasked.keys()];
  }

  get auditDue(): boolean {
    return this.#auditDue || (this.#unasked !== undefined && this.#unasked.size > 0);
  }

  /** The ended transaction made settings, and there is nothing to be asked about. */
  get isCertain(): boolean {
    return (this.#sets !== undefined || this.#spoken !== undefined) && !this.auditDue;
  }

  /** More parameters were set than can be followed. */
  get isOverfull(): boolean {
    return (this.#parameters?.size ?? 0) > NAMES || (this.#spoken?.size ?? 0) > NAMES;
  }

  /** The settings that the ended transaction made for certain; the watch begins anew. */
  take(): readonly (readonly [string, string])[] | undefined {
    const sets = this.#sets;
    this.#sets = undefined;
    this.#spoken = undefined;
    this.#auditDue = false;
    this.#setRan = false;
    this.#unasked = undefined;
    return sets;
  }

  get #said(): SpokenSettings {
    return (this.#spoken ??= new SpokenSettings());
  }

  #isSet(name: string): void {
    // The others are in pg_settings, which says whether they were set at all.
    if (!name.includes('.') || this.isOverfull) return;
    (this.#parameters ??= new Set<string>()).add(name);
  }

  #setConfig(text: string): void {
    // Every call of it holds for the transaction alone, as written.
    const calls = text.match(/\bset_config\s*\(/gi)?.length ?? 0;
    const local = text.match(/\bset_config\s*\([^()]*,\s*(?:true|'t(?:rue)?')\s*\)/gi)?.length ?? 0;
    if (calls <= local) return;
    for (const name of namedParameters(text)) this.#isSet(name);
    this.#auditDue = true;
    this.#said.calls(text);
  }
}
