import { ParameterSet } from '../session/parameter-set.ts';
import { PinReason, auditQuery, readFindings } from '../session/session-audit.ts';
import type { SpokenSettings } from '../session/spoken-settings.ts';
import { withoutBaseline } from '../session/settings.ts';
import { sendCancel } from './cancel.ts';
import { notified } from './notifier.ts';
import { othersRestated, restateAsFound } from './restated-settings.ts';
import { runTask } from './server-task.ts';
import type { LostServer, TaskResult } from './server-task.ts';
import type { Server, SessionLink } from './session-link.ts';
import type { ClientSessionOptions } from './session-options.ts';

interface AuditOptions {
  /** Whom a fresh session of the connection runs as. */
  readonly loginUser: string;
  readonly timeoutMs: number;
  /** For the delivery of a cancel. */
  readonly cancelTimeoutMs: number;
}

/** How a client's session is asked. */
export function auditOptions({ pool, limits }: Pick<ClientSessionOptions, 'pool' | 'limits'>): AuditOptions {
  const { rollbackTimeoutMs: timeoutMs, cancelTimeoutMs } = limits;
  return { loginUser: pool.options.login.user, timeoutMs, cancelTimeoutMs };
}

/**
 * Asks the session behind a server connection what the client's transaction left in it, and takes that over: the client's
 * settings, and why it must keep the connection. `done` is called once, with what there is to say where the connection was
 * lost.
 */
export function auditSession(
  link: SessionLink,
  server: Server,
  options: AuditOptions,
  done: (lost: LostServer | undefined) => void,
): void {
  // A cancel of the client's must not hit the question.
  if (server.cancels > 0) {
    server.onCancelsDone = () => {
      if (link.server === server) auditSession(link, server, options, done);
    };
    return;
  }
  const { doubted, spoken } = link.watch;
  link.watch.take();
  const asked = (result: TaskResult, rows: Rows, again: boolean): void => {
    if (result.outcome === 'lost') {
      done(result);
    } else if (result.outcome === 'error' && again) {
      // The error may be about what the client did before.
      ask(link, server, options, (second, found) => asked(second, found, false));
    } else {
      takeOver(link, server, { ...options, doubted, spoken }, result.outcome === 'done' ? rows : undefined);
      done(undefined);
    }
  };
  ask(link, server, options, (result, rows, wasCancelled) => asked(result, rows, !wasCancelled));
}

type Rows = readonly (readonly (string | null)[])[];

/** The question may wait for a lock that somebody has on a catalog: then it is cancelled, and is an error. */
function ask(
  link: SessionLink,
  server: Server,
  { timeoutMs, cancelTimeoutMs }: AuditOptions,
  done: (result: TaskResult, rows: Rows, wasCancelled: boolean) => void,
): void {
  const rows: (string | null)[][] = [];
  let wasCancelled = false;
  const late = setTimeout(() => {
    wasCancelled = true;
    sendCancel(server, cancelTimeoutMs);
  }, timeoutMs);
  const asked = (result: TaskResult): void => {
    clearTimeout(late);
    if (result.outcome === 'lost') done(result, rows, wasCancelled);
    else whenCancelsAreDone(server, (lost) => done(lost ?? result, rows, wasCancelled));
  };
  runTask(server, auditQuery(link.watch.parameters), 2 * timeoutMs, asked, {
    row: (values) => rows.push(values),
    // What the client listens for does not wait for the audit to be over.
    before: (type, message) => notified(link, server, type, message),
  });
}

/** A cancel that is still on its way must not hit what comes next. What the server says meanwhile is for whoever has it then. */
function whenCancelsAreDone(server: Server, done: (lost: LostServer | undefined) => void): void {
  if (server.cancels === 0) return done(undefined);
  const kept: Buffer[] = [];
  server.setUser({
    bytes: (chunk) => kept.push(Buffer.from(chunk)),
    lost: (reason) => {
      server.onCancelsDone = undefined;
      done({ outcome: 'lost', reason, lastWords: undefined });
    },
  });
  server.onCancelsDone = () => {
    server.setUser(undefined);
    done(undefined);
    for (const chunk of kept) server.received(chunk);
  };
}

function takeOver(
  link: SessionLink,
  server: Server,
  {
    loginUser,
    doubted,
    spoken,
  }: AuditOptions & { readonly doubted: readonly string[]; readonly spoken: SpokenSettings | undefined },
  rows: Rows | undefined,
): void {
  // A session that cannot be asked keeps its client: nobody knows what it would leave behind.
  const unknown = { settings: link.settings.entries, pins: [PinReason.Load] };
  const found = rows === undefined ? unknown : readFindings(rows, loginUser);
  link.pins = [...found.pins];
  if (link.watch.loaded) link.pins.push(PinReason.Load);
  if (link.watch.connections) link.pins.push(PinReason.Connections);
  if (link.watch.seeded) link.pins.push(PinReason.Seed);
  server.retired ||= link.watch.connections || link.watch.seeded;
  if (link.watch.sequences) link.pins.push(PinReason.Sequences);
  if (link.statements.own) link.pins.push(PinReason.StatementNames);
  if (rows !== undefined) server.state.reconfigured(doubted, found.settings);
  const all = new ParameterSet(found.settings);
  server.state.applied = withoutBaseline(all, server.state, link.loginSettings);
  let mine = all;
  for (const name of othersRestated(link, server.state, found.settings, spoken)) mine = mine.without(name);
  // What was reset has the value again that the client began with.
  link.settings = withoutBaseline(mine.orElse(link.loginSettings), server.state, link.loginSettings);
  if (rows !== undefined) restateAsFound(link, server.state, { all, mine }, spoken);
}
