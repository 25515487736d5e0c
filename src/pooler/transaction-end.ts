import { PinReason } from '../session/session-audit.ts';
import type { Server, SessionLink } from './session-link.ts';

/** Counts the transactions that have ended on a server connection; returns since when the next one has it. */
export function countTransactions(link: SessionLink, server: Server, startedAt: number): number {
  const transactions = server.state.answers.takeTransactions();
  if (transactions === 0) return startedAt;
  const now = performance.now();
  link.statistics.transactions += transactions;
  link.statistics.transactionTime += now - startedAt;
  server.transactions += transactions;
  return now;
}

/** Takes over the settings that a transaction made for certain. */
export function takeOverSets(link: SessionLink, server: Server): void {
  for (const [name, value] of link.watch.take() ?? []) {
    server.state.applied = server.state.applied.with(name, value);
    link.settings = link.settings.with(name, value);
  }
}

/**
 * What a client's transactions leave in the session is needed on mirrors, too. LISTEN is never sent to one, and no client
 * has statements under its own names there.
 */
export function mirrorsNeedSession(link: SessionLink): boolean {
  return link.pins.some((pin) => pin !== PinReason.Listen && pin !== PinReason.StatementNames);
}
