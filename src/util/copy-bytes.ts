/** Up to so many bytes one by one: a call into the runtime takes longer. */
const SHORT = 24;

/** Copies `start`–`end` of a buffer to another, where there is room for it; returns where it ends there. */
export function copyBytes(from: Buffer, start: number, end: number, to: Buffer, at: number): number {
  if (end - start > SHORT) return at + from.copy(to, at, start, end);
  let there = at;
  for (let here = start; here < end; here++, there++) to[there] = from[here] ?? 0;
  return there;
}
