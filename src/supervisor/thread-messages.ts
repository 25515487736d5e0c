import type { CancelKey } from '../protocol/cancel-key.ts';
import type { CounterMemory } from '../mirror/record/mirror-counters.ts';
import type { MirrorRoute } from '../mirror/record/recording-desk.ts';
import type { PausedChoice } from '../pooler/paused-databases.ts';
import type { PoolerOptions } from '../pooler/pooler-options.ts';
import type { WelcomeNews } from '../pooler/pools.ts';
import type { ThreadSnapshot } from '../pooler/pooler-snapshot.ts';
import type { AdminAnswer } from '../admin/admin-answer.ts';

/** Where a pooler thread accepts clients. */
export type ListenAddress =
  | { readonly host: string; readonly port: number; readonly reusePort: boolean }
  | { readonly path: string }
  /** A socket that listens already, TCP or unix: its file descriptor. */
  | { readonly fd: number };

/** The configuration as a pooler thread needs it. */
export interface ThreadConfig {
  readonly pooler: PoolerOptions;
  readonly routes: readonly MirrorRoute[];
  /** `mirror_queue_bytes`. */
  readonly queueBytes: number;
  readonly logLevel: string;
}

/** Memory shared by all pooler threads and the supervisor. */
export interface SharedMemory {
  /** Rows of PoolBudget. */
  readonly budgets: SharedArrayBuffer;
  /** Int32 for each thread: clients connected. */
  readonly clients: SharedArrayBuffer;
  /** Int32 for each thread: connections that have not logged in yet. */
  readonly logins: SharedArrayBuffer;
  /** Float64 for each thread: bytes recorded and not finished. */
  readonly queueBytes: SharedArrayBuffer;
  /** One BigInt64: the event counter. */
  readonly sequence: SharedArrayBuffer;
}

/** What a pooler thread starts with (`workerData`). */
export interface ThreadStart {
  readonly thread: number;
  readonly threads: number;
  /** It takes the place of one that ended. */
  readonly again: boolean;
  /** What PAUSE and KILL have paused. */
  readonly paused: PausedChoice;
  /** How many threads were started before this one, in this process. */
  readonly generation: number;
  readonly statementPrefix: string;
  readonly mockSecret: Uint8Array;
  /** Names this pgmirror among all. */
  readonly instance: string;
  readonly listen: readonly ListenAddress[];
  readonly config: ThreadConfig;
  readonly memory: SharedMemory;
  readonly counters: CounterMemory;
  /** Where the mirror process listens, if it does. */
  readonly mirrorPath: string | undefined;
}

/** Supervisor → pooler thread. */
export type ToThread =
  | { readonly type: 'mirrorAt'; readonly path: string | undefined }
  /** -1: there is no row left. */
  | { readonly type: 'budgetRow'; readonly key: string; readonly row: number }
  /** Another thread wants a connection of the pool, or has made room; or idle connections are to leave a server. */
  | { readonly type: 'announce'; readonly what: 'wanted' | 'room' | 'leave'; readonly key: string }
  /** The other threads have taken the CancelRequest with that id. */
  | { readonly type: 'cancelTaken'; readonly id: number }
  /** A login failed in another thread. */
  | { readonly type: 'loginFailed'; readonly address: string }
  /** Another thread has found out what clients of a pool are told. */
  | { readonly type: 'welcome'; readonly news: WelcomeNews }
  | { readonly type: 'resume' | 'reconnect' | 'kill'; readonly database: string | undefined }
  | { readonly type: 'adminAnswer'; readonly id: number; readonly answer: AdminAnswer }
  | { readonly type: 'circleAnswer'; readonly id: number; readonly isCircle: boolean }
  | (ThreadQuestion & { readonly id: number });

/** What a pooler thread is asked, and answers when it is done. */
export type ThreadQuestion =
  | { readonly type: 'configure'; readonly config: ThreadConfig }
  /** With `connections`, of each client and server connection. */
  | { readonly type: 'snapshot'; readonly connections: boolean }
  /** A CancelRequest that came to another thread. */
  | ({ readonly type: 'cancel' } & CancelKey)
  | { readonly type: 'resetCounters' }
  /** `database` undefined: all. Done when no client of it is in a transaction. */
  | { readonly type: 'pause'; readonly database: string | undefined }
  /** Let nobody in. Done when everybody has gone. */
  | { readonly type: 'drain' }
  /** Hand over what is recorded. Done when the mirrors have finished with it. */
  | { readonly type: 'finishMirroring' }
  | { readonly type: 'stop' };

/** Pooler thread → supervisor. */
export type FromThread =
  | { readonly type: 'listening' }
  | { readonly type: 'listenFailed'; readonly message: string; readonly code: string }
  | { readonly type: 'budgetRowWanted'; readonly key: string }
  | { readonly type: 'announce'; readonly what: 'wanted' | 'room' | 'leave'; readonly key: string }
  /** A CancelRequest for a client of another thread. */
  | ({ readonly type: 'cancel'; readonly id: number } & CancelKey)
  | { readonly type: 'loginFailed'; readonly address: string }
  | { readonly type: 'welcome'; readonly news: WelcomeNews }
  | { readonly type: 'counterRow'; readonly row: number; readonly mirror: number; readonly user: string }
  /** For the first time a transaction was dropped for this mirror for this reason. */
  | { readonly type: 'firstDropped'; readonly mirror: number; readonly reason: number; readonly user: string }
  | { readonly type: 'admin'; readonly id: number; readonly command: string }
  /** Do mirrors of the source lead back to a pgmirror of the trail? */
  | { readonly type: 'circle'; readonly id: number; readonly source: string; readonly trail: readonly string[] }
  /** The answer to a question with that id. */
  | { readonly type: 'done'; readonly id: number; readonly snapshot?: ThreadSnapshot };
