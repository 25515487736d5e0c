import { Client } from 'pg';

import { shopTables } from './schema.ts';

/** One table on both sides. */
export interface TableComparison {
  readonly table: string;
  readonly sourceRows: number;
  readonly mirrorRows: number;
  /** The same rows, value by value. */
  readonly same: boolean;
}

/** Compares the shop's tables on two databases: how many rows, and a hash over all of their values in the order of the key. */
export async function compareRows(sourceUrl: string, mirrorUrl: string): Promise<TableComparison[]> {
  const [source, mirror] = await Promise.all([fingerprints(sourceUrl), fingerprints(mirrorUrl)]);
  return shopTables.map(({ name: table }, index) => {
    const [left, right] = [source[index], mirror[index]];
    if (left === undefined || right === undefined) throw new Error(`${table} was not counted`);
    const same = left.rows === right.rows && left.hash === right.hash;
    return { table, sourceRows: left.rows, mirrorRows: right.rows, same };
  });
}

interface Fingerprint {
  readonly rows: number;
  readonly hash: string;
}

/** Of each table, in the order of {@link shopTables}. */
async function fingerprints(url: string): Promise<Fingerprint[]> {
  const client = new Client({ connectionString: url });
  client.on('error', () => {}); // the query that runs reports it
  await client.connect();
  try {
    const found: Fingerprint[] = [];
    for (const { name, key } of shopTables) {
      const sql = `SELECT count(*)::integer AS rows, md5(coalesce(string_agg(t::text, E'\\n' ORDER BY ${key}), '')) AS hash FROM ${name} t`;
      const [row] = (await client.query<Fingerprint>(sql)).rows;
      if (row !== undefined) found.push(row);
    }
    return found;
  } finally {
    await client.end();
  }
}
