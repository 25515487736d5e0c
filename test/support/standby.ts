import { cp, readdir, readFile, rm, stat, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { chown } from 'node:fs/promises';

import type { Cleanup } from './cleanup.ts';
import { startTestPostgres, type RunningPostgres } from './postgres.ts';

/** What a primary must allow those that follow it. */
export const replicationHba = 'host replication all 127.0.0.1/32 scram-sha-256';

/**
 * Starts a hot standby that follows `primary` by streaming replication: a copy of its data folder, taken while it stands
 * still. The primary is started with {@link replicationHba}.
 */
export async function startStandby(cleanup: Cleanup, primary: RunningPostgres): Promise<RunningPostgres> {
  const standby = await startTestPostgres(cleanup, { password: primary.password });
  const data = standby.dataDirectory;
  await standby.kill('SIGINT');
  await primary.kill('SIGINT');
  const { uid, gid } = await stat(data);
  const own = await readFile(join(data, 'postgresql.auto.conf'), 'utf8');
  for (const name of await readdir(data)) await rm(join(data, name), { recursive: true });
  await cp(primary.dataDirectory, data, { recursive: true });
  await primary.restart();
  const from = `host=${primary.host} port=${primary.port} user=${primary.user} password=${primary.password}`;
  await writeFile(join(data, 'postgresql.auto.conf'), `${own}primary_conninfo = '${from}'\n`);
  await writeFile(join(data, 'standby.signal'), '');
  for (const name of ['', ...(await readdir(data, { recursive: true }))]) await chown(join(data, name), uid, gid);
  await standby.restart();
  return standby;
}
