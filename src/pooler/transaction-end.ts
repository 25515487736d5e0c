import { PinReason } from '../session/session-audit.ts';
import { restate } from './restated-settings.ts';
import type { Server, SessionLink } from './session-link.ts';

/** Counts the transactions that have ended on a server connection. */
export function countTransactions(link: SessionLink, server: Server): void {
  const transactions = server.state.answers.takeTransactions();
  if (transactions === 0) return;
  link.statistics.transactions += transactions;
  link.statistics.transactionTime += link.answeredAt - link.transactionSince;
  server.transactions += transactions;
}

/** Takes over the settings that a transaction made for certain. */
export function takeOverSets(link: SessionLink, server: Server): void {
  const { spoken } = link.watch;
  for (const [name, value] of link.watch.take() ?? []) {
    server.state.applied = server.state.applied.with(name, value);
    link.settings = link.settings.with(name, value);
  }
  if (spoken !== undefined) restate(link, server.state, spoken.names);
}

/**
 * What a client's transactions leave in the session is needed on mirrors, too. LISTEN is never sent to one, and no client
 * has statements under its own names there.
 */
export function mirrorsNeedSession(link: SessionLink): boolean {
  return link.pins.some((pin) => pin !== PinReason.Listen && pin !== PinReason.StatementNames);
}
