import type { RandomClient } from './random-client.ts';

export const insert = (c: RandomClient, id = c.newId(), note = ''): string =>
  `INSERT INTO ${c.schema}.item (id, note, amount) VALUES (${id}, '${note}', ${c.random.below(1000)})`;
const update = (c: RandomClient): string =>
  `UPDATE ${c.schema}.item SET amount = amount + ${1 + c.random.below(9)} WHERE id = ${c.usedId()}`;
const erase = (c: RandomClient): string => `DELETE FROM ${c.schema}.item WHERE id = ${c.usedId()}`;
export const read = (c: RandomClient): string =>
  `SELECT * FROM ${c.schema}.item WHERE id <= ${c.usedId()} ORDER BY id LIMIT 5`;
export const change = (c: RandomClient): string => c.random.pick([insert, update, erase, read])(c);

/**
 * More than PostgreSQL keeps back, so that it shows that the work has begun. Who goes, or cancels, while pgmirror still
 * waits for a server connection made no transaction.
 */
export const begun = `SELECT repeat('x', 20000)`;
