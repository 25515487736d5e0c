/**
 * The record stream: what a pooler thread tells the mirror process, and what comes back.
 *
 * One stream socket for each pooler thread. Everything is little-endian. A frame is
 *
 *     u32 length (of the whole frame, these four bytes included) · u8 type · body
 *
 * A string is `u32 length · UTF-8 bytes`. A moment is an f64: milliseconds of the machine's monotonic clock
 * (`monotonicNow()`), comparable between the processes of one machine. A sequence number is an f64: a reading of the
 * event counter that all pooler threads share. Ids are the pooler thread's own, valid on its connection alone, and are
 * declared before they are used.
 *
 * Pooler thread → mirror process:
 *
 *     1 Hello            u32 version · u32 generation (of the thread: how often it was started)
 *     2 Statement        u32 id · str name · definition (to the frame's end)
 *                        A prepared statement: its pool-wide name, and what follows the name in a Parse message (text,
 *                        zero byte, parameter types).
 *     3 ForgetStatement  u32 id
 *     4 Settings         u32 id · u16 n · n × (str name · str value)
 *                        A whole session state: every setting in which a session differs from a fresh login.
 *     5 ForgetSettings   u32 id
 *     6 Client           u32 client · str database · str user     Before the client's first transaction.
 *     7 ClientGone       u32 client                               No more of it; its lanes end when they are empty.
 *     8 Transaction      u32 slot (the pooler's handle, echoed in the acknowledgement) · u32 client
 *                        · u32 settings id (0: those of a fresh login) · u32 unnamed statement id (what the unnamed
 *                        statement was when the transaction began; 0: there was none) · u8 TransactionFlag bits
 *                        · f64 startedAt · f64 endedAt · u16 nTargets · nTargets × u32 target · u32 nRequests
 *                        · requests
 *     9 Missed           u32 target · u8 Change                    A transaction that ended on the source did not come;
 *                                                                 what it may have changed there.
 *    10 ToldUntil        f64 sequence                             All that ended before on the source was told of.
 *    11 SessionLost      u32 client · u32 target                  A transaction did not come that the client's session on
 *                                                                 the mirror was for: no later one needs that session.
 *
 * A request is a fixed header (`RequestHeader`, at the offsets in `RequestOffset`) and then the frontend messages as
 * the source received them, whole, the last of them the one that owed the ReadyForQuery; where its flags say so, a
 * digest of the source's answer stands behind them. Named statements carry their
 * pool-wide names, the same on the source and on every mirror. The last request ends in status idle; but where blocks
 * were chained (COMMIT AND CHAIN) and the last of them was rolled back by pgmirror, or its outcome is unknown, that one
 * is left out, and the last request is the one that committed the block before. Where the source had answered a COMMIT
 * amid a request and never came to that request's end, it ends behind the COMMIT, with a Sync of pgmirror's own.
 *
 * Mirror process → pooler thread:
 *
 *     64 Acknowledgement  u32 slot · u32 target · u8 Outcome · u8 DropReason (0 unless dropped) · u8 n · n × 5 bytes
 *                         One for each target of a transaction; the SQLSTATEs are those of requests that erred on the
 *                         mirror and not on the source.
 *     65 TargetState      u32 target · u8 TargetState
 */

/** Raised with every change of the format: both sides belong to one build, and refuse another. */
export const RECORD_STREAM_VERSION = 5;

export const FrameType = {
  Hello: 1,
  Statement: 2,
  ForgetStatement: 3,
  Settings: 4,
  ForgetSettings: 5,
  Client: 6,
  ClientGone: 7,
  Transaction: 8,
  Missed: 9,
  ToldUntil: 10,
  SessionLost: 11,
  Acknowledgement: 64,
  TargetState: 65,
} as const;

/** Length and type. */
export const FRAME_HEADER_LENGTH = 5;

/** The fixed part of a Transaction frame, from the frame's first byte to its targets. */
export const TRANSACTION_HEADER_LENGTH = FRAME_HEADER_LENGTH + 4 * 4 + 1 + 8 * 2 + 2;

export const TransactionFlag = {
  /** The source committed it, or of several blocks in a row at least one (or it was one that commits nothing). */
  Committed: 1,
  /** The client was pinned when it began: it needs what earlier transactions left in the session. */
  NeedsSession: 2,
  /** The client stays pinned after it: the mirror connection is kept for the client. */
  KeepsSession: 4,
  /** Its settings are those that the one before left in the session: it was sent before anybody knew them. */
  InheritsSettings: 8,
  /** Whatever had been done in its session before was undone: `server_reset = "always"`. */
  AfterReset: 16,
} as const;

export const RequestFlag = {
  /** The source answered with an ErrorResponse before its ReadyForQuery. */
  Errored: 1,
  /** Some CommandComplete of the answer had the tag ROLLBACK. */
  RollbackTag: 2,
  /** The source answered 57014 after a CancelRequest; `cancelAfter` says when that was sent. */
  Cancelled: 4,
  /** The request carries CopyData, CopyDone or CopyFail. */
  CopyIn: 8,
  /** The request is one Query message and nothing else. */
  Simple: 16,
  /** A digest of the source's answer stands behind the messages (`compare/digest-format.ts`). */
  Digest: 32,
  /**
   * Some CommandComplete of the answer had the tag of a COMMIT or of a half of a two-phase commit: what the source had
   * done until then is there to stay.
   */
  CommitTag: 64,
} as const;

/** Where each field of a request's fixed header lies, from its first byte. */
export const RequestOffset = {
  /** u32: length of the messages behind the header. */
  Bytes: 0,
  /** u32: from the last ReadyForQuery to the client's next message, in microseconds; 0 for a transaction's first. */
  ThinkTime: 4,
  /** u32: from the last byte sent to the ReadyForQuery, in microseconds. */
  SourceTime: 8,
  /** f64: the event counter when the request was sent to the source. */
  SentSequence: 12,
  /** f64: the event counter when its answer was complete. */
  DoneSequence: 20,
  /** u8: status byte of the ReadyForQuery before it. */
  StatusBefore: 28,
  /** u8: status byte of the ReadyForQuery that ended it. */
  StatusAfter: 29,
  /** u16: RequestFlag bits. */
  Flags: 30,
  /** 5 bytes: SQLSTATE of its first error, zero bytes without one. */
  Sqlstate: 32,
  /** u32, u32: the range of the messages' bytes that the source did not run (from an error to the Sync); equal: none. */
  SkipFrom: 37,
  SkipTo: 41,
  /** u32: from the request's start to the CancelRequest, in microseconds. */
  CancelAfter: 45,
} as const;

/** Length of a request's fixed header. */
export const REQUEST_HEADER_LENGTH = 49;

/** What became of a transaction on a mirror. */
export const Outcome = { Replayed: 1, Failed: 2, TimedOut: 3, Dropped: 4 } as const;
export type Outcome = (typeof Outcome)[keyof typeof Outcome];

/** Why the mirror process dropped a transaction. */
export const DropReason = {
  Filtered: 1,
  Unsafe: 2,
  Denied: 3,
  NoUser: 4,
  SessionLost: 5,
  Lag: 6,
  MirrorDown: 7,
  Lost: 8,
} as const;
export type DropReason = (typeof DropReason)[keyof typeof DropReason];

/** The names under which drops are counted and shown, by `DropReason`. */
export const dropReasonNames: Readonly<Record<DropReason, string>> = {
  [DropReason.Filtered]: 'filtered',
  [DropReason.Unsafe]: 'unsafe',
  [DropReason.Denied]: 'denied',
  [DropReason.NoUser]: 'no_user',
  [DropReason.SessionLost]: 'session_lost',
  [DropReason.Lag]: 'lag',
  [DropReason.MirrorDown]: 'mirror_down',
  [DropReason.Lost]: 'lost',
};

/** Whether transactions for a mirror are worth sending. */
export const TargetState = { Up: 1, Down: 2, Refused: 3 } as const;
export type TargetState = (typeof TargetState)[keyof typeof TargetState];

/** The other end of a record stream does not keep to the format: the connection cannot go on. */
export class RecordStreamError extends Error {
  override readonly name = 'RecordStreamError';
}
