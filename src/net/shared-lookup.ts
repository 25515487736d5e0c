import dns from 'node:dns';
import type { LookupFunction } from 'node:net';

type Told = Parameters<LookupFunction>[2];

const underWay = new Map<string, Told[]>();

/**
 * Resolves a name as `dns.lookup` does, one question for each name at a time: whoever asks meanwhile is told what comes of
 * it. A name server that does not answer holds a thread of the process's pool for each question, only two of which are for
 * names, and a question that nobody waits for any more is not taken back: attempts to connect to one host would add up until
 * no other is found.
 */
export const sharedLookup: LookupFunction = (name, options, told) => {
  const question = JSON.stringify([name, options]);
  const others = underWay.get(question);
  if (others !== undefined) {
    others.push(told);
    return;
  }
  const asking = [told];
  underWay.set(question, asking);
  dns.lookup(name, options, (...answer) => {
    underWay.delete(question);
    for (const one of asking) one(...answer);
  });
};
