import { setTimeout as delay } from 'node:timers/promises';

/** See {@link eventually}. */
export interface EventuallyOptions {
  /** Default 10 000. */
  readonly timeoutMs?: number;
  /** Between two attempts; default 20. */
  readonly intervalMs?: number;
  /** What is waited for, for the message when it does not come. */
  readonly what?: string;
}

/**
 * Calls `check` until it neither throws nor answers `false` or `undefined`, and returns its answer.
 * Rejects when the time is over, with the last failure as `cause` and in the message.
 */
export async function eventually<T>(
  check: () => T | Promise<T>,
  { timeoutMs = 10_000, intervalMs = 20, what }: EventuallyOptions = {},
): Promise<Exclude<T, false | undefined>> {
  const giveUpAt = performance.now() + timeoutMs;
  for (;;) {
    let failure: unknown;
    try {
      const answer = await check();
      if (answer !== false && answer !== undefined) return answer as Exclude<T, false | undefined>;
    } catch (error) {
      failure = error;
    }
    if (performance.now() >= giveUpAt) throw notInTime(what ?? 'the condition', timeoutMs, failure);
    await delay(intervalMs);
  }
}

/** Settles as `promise` does, or rejects when it takes longer than `timeoutMs`. */
export async function within<T>(promise: Promise<T>, timeoutMs: number, what: string): Promise<T> {
  const late = Promise.withResolvers<never>();
  const timer = setTimeout(() => late.reject(notInTime(what, timeoutMs, undefined)), timeoutMs);
  try {
    return await Promise.race([promise, late.promise]);
  } finally {
    clearTimeout(timer);
  }
}

function notInTime(what: string, timeoutMs: number, cause: unknown): Error {
  const reason = cause instanceof Error ? `: ${cause.message}` : '';
  return new Error(`waited ${timeoutMs} ms in vain for ${what}${reason}`, { cause });
}
