import dns from 'node:dns';
import type { LookupFunction } from 'node:net';
import { SlowLookups } from './slow-lookups.ts';

type Told = Parameters<LookupFunction>[2];

const underWay = new Map<string, Told[]>();
const slowLookups = SlowLookups.ofProcess();

/**
 * Resolves a name as `dns.lookup` does, one question for each name at a time: whoever asks meanwhile is told what comes of
 * it. A name server that does not answer holds a thread of the process's pool for each question, only two of which are for
 * names, and a question that nobody waits for any more is not taken back: attempts to connect to one host would add up until
 * no other is found. And one of the two is kept free of names that took long the last time (slow-lookups.ts).
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
  slowLookups.ask(name, (answered) => {
    dns.lookup(name, options, (...answer) => {
      underWay.delete(question);
      answered();
      for (const one of asking) one(...answer);
    });
  });
};
