/** What a pool counts from its start, with PgBouncer's meanings. Times in milliseconds, fractions included. */
export interface PoolStatistics {
  /** Times a client was given a server connection. */
  assignments: number;
  transactions: number;
  requests: number;
  /** Bytes from clients, and to them. */
  received: number;
  sent: number;
  /** Time that clients had a server connection in transactions. */
  transactionTime: number;
  /** Time that servers were busy with requests. */
  requestTime: number;
  /** Time that clients waited for a server connection. */
  waitTime: number;
  /** Named statements that clients parsed, that were parsed on servers, and Binds. */
  clientParses: number;
  serverParses: number;
  binds: number;
}

export function noStatistics(): PoolStatistics {
  return {
    assignments: 0,
    transactions: 0,
    requests: 0,
    received: 0,
    sent: 0,
    transactionTime: 0,
    requestTime: 0,
    waitTime: 0,
    clientParses: 0,
    serverParses: 0,
    binds: 0,
  };
}

/** The sums of both. */
export function addStatistics(a: PoolStatistics, b: PoolStatistics): PoolStatistics {
  const sum = noStatistics();
  for (const key of Object.keys(sum) as (keyof PoolStatistics)[]) sum[key] = a[key] + b[key];
  return sum;
}
