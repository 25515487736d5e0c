let last = 0;

/**
 * The next number of the mirror process's event counter: what has the smaller one happened before, on whatever mirror
 * connection it was.
 */
export function nextEvent(): number {
  return ++last;
}
