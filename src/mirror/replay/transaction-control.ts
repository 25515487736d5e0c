/** What a statement does to the transaction it runs in (PostgreSQL's TransactionStmt). */
export const Control = {
  None: 0,
  /** BEGIN, START TRANSACTION */
  Begin: 1,
  /** COMMIT, END, PREPARE TRANSACTION: makes the block's work stay. */
  Commit: 2,
  /** ROLLBACK, ABORT */
  Rollback: 3,
  /** SAVEPOINT, RELEASE, ROLLBACK TO */
  Savepoint: 4,
  /** COMMIT PREPARED, ROLLBACK PREPARED */
  Prepared: 5,
} as const;
export type Control = (typeof Control)[keyof typeof Control];

/** By the first words of a statement, in lower case. */
export function controlOf(words: readonly string[]): Control {
  switch (words[0]) {
    case 'begin':
      return Control.Begin;
    case 'start':
      return words[1] === 'transaction' ? Control.Begin : Control.None;
    case 'commit':
      return words[1] === 'prepared' ? Control.Prepared : Control.Commit;
    case 'end':
      return Control.Commit;
    case 'prepare':
      return words[1] === 'transaction' ? Control.Commit : Control.None;
    case 'rollback':
      if (words[1] === 'prepared') return Control.Prepared;
      return words.includes('to') ? Control.Savepoint : Control.Rollback;
    case 'abort':
      return Control.Rollback;
    case 'savepoint':
    case 'release':
      return Control.Savepoint;
    default:
      return Control.None;
  }
}

/**
 * Whether a statement may refuse to run in a transaction block, or commits by itself (PreventInTransactionBlock in
 * PostgreSQL's source; CALL and DO, whose bodies may commit). Rather one too many: it decides what cannot be forced.
 */
export function refusesBlock(words: readonly string[]): boolean {
  const [first = '', second = ''] = words;
  switch (first) {
    case 'call':
    case 'cluster':
    case 'do':
    case 'reindex':
    case 'repack':
    case 'vacuum':
      return true;
    case 'discard':
      return second === 'all';
    case 'create':
    case 'drop':
      return outsideBlocks.has(second) || words.includes('concurrently');
    case 'alter':
      return outsideBlocks.has(second) || second === 'system' || second === 'type' || words.includes('concurrently');
    default:
      return false;
  }
}

const outsideBlocks: ReadonlySet<string> = new Set(['database', 'tablespace', 'subscription']);
