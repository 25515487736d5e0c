/** Where a load goes. */
export interface Address {
  readonly host: string;
  readonly port: number;
  readonly database: string;
  readonly user: string;
  readonly password: string;
}

/** What a load asks of whoever stands between it and the server. */
export interface LoadNeeds {
  /** It prepares statements by message. */
  readonly prepared?: boolean;
}

/** One way from a client to the source. */
export interface Contender {
  readonly name: string;
  /** Threads that share its work, if several: each compiles its code for itself, and sees a part of what it is compiled for. */
  readonly threads?: number;
  /** Where the load goes; `undefined`: it cannot carry it. */
  address(needs: LoadNeeds): Address | undefined;
  /** Its own processes; none where there is nothing between. */
  processes(): readonly number[];
  /** The process that serves the mirrors. */
  mirrorProcesses(): readonly number[];
  /** Resolves when it has nothing left to do. */
  settle(): Promise<void>;
}
