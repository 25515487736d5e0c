import { pino } from 'pino';

/** So much of the log, in characters, is kept where it cannot be written: what comes then is lost. */
const KEPT_LENGTH = 1_048_576;

/**
 * The standard output, for log lines. Where it cannot be written, as on a full disk, what was logged waits for the next line
 * and is tried again with it: nobody is to end with the disk that the log is on. `sync`: a line is written before logging
 * returns.
 */
export function logDestination(options: { readonly sync: boolean }): ReturnType<typeof pino.destination> {
  const destination = pino.destination({ fd: 1, sync: options.sync, maxLength: KEPT_LENGTH });
  let isFailing = false;
  // An error that nobody listens to would be thrown at whoever logs.
  destination.on('error', () => (isFailing = true));
  destination.on('write', () => (isFailing = false));
  // It would try again and again, and pino calls it behind every fatal line.
  const flush = destination.flushSync.bind(destination);
  destination.flushSync = () => {
    if (!isFailing) flush();
  };
  return destination;
}
