import type { RandomClient } from './random-client.ts';
import { begun, insert } from './statements.ts';

export async function vanishInBlock(c: RandomClient): Promise<void> {
  await c.runAll('BEGIN', insert(c));
  c.tally.aborted++;
  await c.vanish(c.random.below(2) === 0 ? undefined : `${insert(c)}; SELECT pg_sleep(20)`);
}

export async function vanishAtWork(c: RandomClient): Promise<void> {
  if (c.random.below(2) === 0) {
    return c.vanish(`${begun}; ${insert(c)}; SELECT pg_sleep(0.02)`, 'T');
  }
  await c.runAll('BEGIN', insert(c));
  await c.vanish('COMMIT');
}

export async function vanishAhead(c: RandomClient): Promise<void> {
  c.tally.transactions++;
  c.tally.aborted++;
  await c.vanishAhead([`BEGIN; ${begun}; ${insert(c)}`, insert(c), 'COMMIT', 'BEGIN', insert(c), insert(c)], 'C', 'T');
}

/** What was committed stays; the rest is rolled back, though it be under way. */
export async function vanishInChain(c: RandomClient): Promise<void> {
  const chain = c.random.pick(['COMMIT AND CHAIN', 'END AND CHAIN']);
  const begin = c.random.pick(['BEGIN', 'BEGIN ISOLATION LEVEL REPEATABLE READ']);
  switch (c.random.below(3)) {
    case 0:
      await c.runAll(begin, insert(c), 'SAVEPOINT s', insert(c), 'ROLLBACK TO s', chain, insert(c));
      return c.vanish(c.random.below(2) === 0 ? undefined : `${insert(c)}; SELECT pg_sleep(20)`);
    case 1:
      await c.run(`${begin}; ${insert(c)}; ${chain}; ${insert(c)}`);
      return c.vanish();
    default:
      await c.runAll(begin, insert(c), chain, insert(c));
      return c.vanish(chain);
  }
}
