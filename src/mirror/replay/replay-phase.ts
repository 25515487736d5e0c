/** What a replayer is doing. */
export const Phase = {
  Idle: 0,
  /** The session's state is being brought to the client's. */
  Settings: 1,
  /** BEGIN around an autocommit request that failed on the source. */
  Begin: 2,
  Thinking: 3,
  Request: 4,
  /** ROLLBACK in place of, or behind, a request. */
  Rollback: 5,
  /** So that the connection goes back idle, and with no locks. */
  Closing: 6,
} as const;
export type Phase = (typeof Phase)[keyof typeof Phase];
