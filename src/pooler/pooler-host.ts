import type { RecordingDesk } from '../mirror/record/recording-desk.ts';
import type { ClientSocket } from '../net/client-socket.ts';
import type { PoolBudget } from '../pool/pool-budget.ts';
import type { StatementRegistry } from '../session/statement-names.ts';
import type { CancelKey } from '../protocol/cancel-key.ts';
import type { PausedChoice } from './paused-databases.ts';
import type { WelcomeNews } from './pools.ts';
import type { LoginRequest } from './startup.ts';

/** Something other than PostgreSQL that serves a logged-in client: the admin database. */
export interface SpecialDatabase {
  /** Takes the client over. `ended` is called once, when it is gone. */
  serve(client: ClientSocket, request: LoginRequest, key: CancelKey, backlog: Buffer, ended: () => void): void;
  /** A CancelRequest; false: it is for none of its clients. */
  cancel(key: CancelKey): boolean;
}

/** What the thread's surroundings do for a pooler. */
export interface PoolerHost {
  readonly thread: number;
  /** What was paused before the thread was there. */
  readonly paused: PausedChoice;
  readonly registry: StatementRegistry;
  readonly mockSecret: Buffer;
  /** Names this pgmirror among all. */
  readonly instance: string;
  /** Whether mirrors of a source lead back to a pgmirror of the trail, which has come to look at it. */
  readonly isCircle: (source: string, trail: readonly string[]) => Promise<boolean>;
  readonly desk: RecordingDesk;
  readonly special: SpecialDatabase;
  readonly budget: (key: string, shared: boolean) => Promise<PoolBudget>;
  /** Counts a client connection of the process: false, there are too many. */
  readonly clientArrived: (limit: number) => boolean;
  readonly clientLeft: () => void;
  /** The same for connections that have not logged in yet. */
  readonly loginArrived: (limit: number) => boolean;
  readonly loginLeft: () => void;
  /** Tells the other threads that a login from there failed. */
  readonly loginFailed: (address: string) => void;
  /** A CancelRequest, perhaps for a client of another thread; settles when all have taken it. `undefined`: there are none. */
  readonly cancelElsewhere: (key: CancelKey) => Promise<void> | undefined;
  /** Tells the other threads what clients of a pool are told. */
  readonly tellWelcome: (news: WelcomeNews) => void;
  /** Tells the other threads that idle connections to this server are in the way. */
  readonly leaveElsewhere: (server: string) => void;
  readonly log: (level: 'debug' | 'info' | 'warn', message: string, fields: object) => void;
}
