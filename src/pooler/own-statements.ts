import { Backend, Target, TransactionStatus } from '../protocol/message-types.ts';
import { close, describe, runNamed, sync } from '../protocol/frontend-messages.ts';
import type { ClientStatement } from '../session/client-statements.ts';
import { resultShape } from '../session/result-shape.ts';
import type { TextSource } from '../session/state-watch.ts';
import { Touch, statementNamesIn } from '../session/state-touches.ts';
import type { PreparedText } from '../session/statement-names.ts';
import { quoteIdentifier } from '../util/sql-quote.ts';
import { notified } from './notifier.ts';
import { runMessages } from './server-task.ts';
import type { LostServer, TaskResult } from './server-task.ts';
import type { Server, SessionLink } from './session-link.ts';

/** What is to be done before SQL looks at prepared statements: nothing, wait, or show the client's, by themselves or amid a request. */
type Showing = 'no' | 'later' | 'alone' | 'amid';

/**
 * SQL sees prepared statements under the names they have on the server, which are not the client's, and with those of
 * other clients. Where it is about to look (pg_prepared_statements, or EXECUTE and DEALLOCATE of a statement that was
 * prepared by message), the connection is first made to look as the client knows it: its statements under its own names,
 * and no others. The client keeps that connection then. `begun`: the request has begun of which the text is part.
 */
export function mustShowStatements(
  link: SessionLink,
  server: Server,
  touches: number,
  source: TextSource,
  begun: boolean,
): Showing {
  if ((touches & (Touch.Statements | Touch.Names)) === 0) return 'no';
  const { answers } = server.state;
  // Done just now, as far as it could be.
  const done = link.statementsAsked === 'shown';
  link.statementsAsked = 'no';
  if (done || answers.copyIn || !isUsable(server)) return 'no';
  const asked = (touches & Touch.Statements) !== 0 || namesOne(link, source);
  if (!asked) return 'no';
  if (answers.length > 0) return 'later';
  if (areShown(link, server)) return 'no';
  if (begun) return 'amid';
  link.statementsAsked = 'wanted';
  return 'alone';
}

/** A text that is run names statements of the client, in SQL: on mirrors those have other names. */
export function tellNamed(link: SessionLink, touches: number, source: TextSource): void {
  if ((touches & Touch.Names) === 0 || link.recorder === undefined || !link.statements.own) return;
  const isOwn = (name: Buffer): boolean => link.statements.find(name, 0, name.length)?.text.isOwn === true;
  if (statementNamesIn(source.text).some((name) => isOwn(Buffer.from(name)))) link.recorder.namesStatements();
}

/** Gives the client's statements its own names; returns what is to be closed on the server, and prepared. */
export function takeOwnNames(
  link: SessionLink,
  server: Server,
): { closed: PreparedText[]; missing: ClientStatement[] } {
  const { prepared } = server.state;
  const closed = prepared.texts.filter((text) => !text.isOwn);
  if (link.statements.size > 0) {
    link.statements.useOwnNames();
    link.watch.unclear();
  }
  const missing = link.statements.confirmed().filter(({ text }) => text.isOwn && !prepared.has(text));
  return { closed, missing };
}

function isUsable(server: Server): boolean {
  return server.status === TransactionStatus.Idle || server.status === TransactionStatus.InTransaction;
}

/** Whether a text executes or deallocates a statement that the server knows by another name. */
function namesOne({ statements }: SessionLink, source: TextSource): boolean {
  if (statements.size === 0) return false;
  return statementNamesIn(source.text).some((each) => {
    const name = Buffer.from(each);
    return statements.find(name, 0, name.length)?.text.isOwn === false;
  });
}

function areShown({ statements }: SessionLink, server: Server): boolean {
  const mine = new Set<PreparedText>();
  for (const { text } of statements.confirmed()) {
    if (!statements.own || (text.isOwn && !server.state.prepared.has(text))) return false;
    mine.add(text);
  }
  return server.state.prepared.texts.every((text) => mine.has(text));
}

/**
 * Closes all statements that are prepared on a server connection, and prepares the client's under its own names. One that
 * cannot be prepared any more is left out. `done` is called once, with what there is to say where the connection was lost.
 */
export function showStatements(
  link: SessionLink,
  server: Server,
  timeoutMs: number,
  done: (lost: LostServer | undefined) => void,
): void {
  // A cancel of the client's must not hit what is done for it.
  if (server.cancels > 0) {
    server.onCancelsDone = () => {
      if (link.server === server) showStatements(link, server, timeoutMs, done);
    };
    return;
  }
  const { closed: foreign, missing } = takeOwnNames(link, server);
  const before = (type: number, message: Buffer): boolean => notified(link, server, type, message);
  // In a transaction block, one that cannot be prepared must not be the end of it.
  const inBlock = server.status === TransactionStatus.InTransaction && missing.length > 0;
  const savepoint = `${link.statements.prefix}savepoint`;
  const command = (verb: string, then: () => void): void => {
    const told = (result: TaskResult): void => (result.outcome === 'lost' ? done(result) : then());
    runMessages(server, runNamed(savepoint, `${verb} ${quoteIdentifier(savepoint)}`), timeoutMs, told, { before });
  };
  const next = (): void => {
    const text = missing.shift()?.text;
    if (text !== undefined) prepareOwn(link, server, text, timeoutMs, prepared);
    else if (inBlock) command('RELEASE', () => done(undefined));
    else done(undefined);
  };
  const prepared = (lost: LostServer | undefined): void => {
    if (lost !== undefined) done(lost);
    else if (isUsable(server)) next();
    else command('ROLLBACK TO', next);
  };
  const closes = foreign.map((text) => close(Target.Statement, text.name));
  const closed = (result: TaskResult): void => {
    for (const text of foreign) server.state.prepared.closed(text);
    if (result.outcome === 'lost') done(result);
    else if (inBlock) command('SAVEPOINT', next);
    else next();
  };
  runMessages(server, Buffer.concat([...closes, sync()]), timeoutMs, closed, { before });
}

function prepareOwn(
  link: SessionLink,
  server: Server,
  text: PreparedText,
  timeoutMs: number,
  done: (lost: LostServer | undefined) => void,
): void {
  let parameters: Buffer | undefined;
  let row: Buffer | undefined;
  const messages = Buffer.concat([text.parseMessage(), describe(Target.Statement, text.name), sync()]);
  const told = (result: TaskResult): void => {
    if (result.outcome === 'lost') {
      done(result);
      return;
    }
    if (result.outcome === 'done' && parameters !== undefined) {
      const { prepared } = server.state;
      prepared.prepared(text);
      const there = prepared.get(text);
      if (there !== undefined) there.shape = text.internShape(resultShape(parameters, row));
    }
    done(undefined);
  };
  runMessages(server, messages, timeoutMs, told, {
    before: (type, message) => {
      if (type === Backend.ParameterDescription) parameters = Buffer.from(message);
      if (type === Backend.RowDescription) row = Buffer.from(message);
      return notified(link, server, type, message);
    },
  });
}
