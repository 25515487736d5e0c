import type { ErrorFields } from '../protocol/backend-messages.ts';
import { TransactionStatus } from '../protocol/message-types.ts';
import { PinReason } from '../session/session-audit.ts';
import { areTooMany } from '../session/settings.ts';
import type { PoolerMode } from './pooler-options.ts';
import { restate } from './restated-settings.ts';
import { NO_BLOCKS, TOO_MANY_SETTINGS } from './session-errors.ts';
import type { Server, SessionLink } from './session-link.ts';

/** Counts the transactions that have ended on a server connection. */
export function countTransactions(link: SessionLink, server: Server): void {
  const transactions = server.state.answers.takeTransactions();
  if (transactions === 0) return;
  link.statistics.transactions += transactions;
  link.statistics.transactionTime += link.answeredAt - link.transactionSince;
  server.transactions += transactions;
}

/** Why a client cannot be served any more because of what it did on this server connection; `undefined`, as nearly always: it can. */
export function objectionTo(link: SessionLink, server: Server, mode: PoolerMode): ErrorFields | undefined {
  if (mode === 'statement' && server.status !== TransactionStatus.Idle) return NO_BLOCKS;
  if (!link.watch.isOverfull && !areTooMany(link.settings)) return undefined;
  // Nor are they to be taken back one by one for the next client.
  server.state.unclean = true;
  return TOO_MANY_SETTINGS;
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
