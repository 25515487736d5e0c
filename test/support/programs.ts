import { spawn } from 'node:child_process';
import { accessSync, constants } from 'node:fs';
import { delimiter, join } from 'node:path';

import { machinePostgres } from './postgres.ts';

/** What a program that ran to its end left. */
export interface ProgramResult {
  /** `null` when a signal ended it. */
  readonly status: number | null;
  readonly stdout: string;
  readonly stderr: string;
}

/** The path of an executable such as `psql`, `pgbench` or `pg_dump`: PATH first, then the machine's newest PostgreSQL. */
export function findProgram(name: string): string | undefined {
  const folders = [...(process.env.PATH ?? '').split(delimiter), machinePostgres() ?? ''];
  return folders
    .filter((folder) => folder !== '')
    .map((folder) => join(folder, name))
    .find(isExecutable);
}

/** For a test's `skip`: `false` when all the programs are there, otherwise the reason. */
export function skipWithout(...names: readonly string[]): string | false {
  const missing = names.filter((name) => findProgram(name) === undefined);
  return missing.length === 0 ? false : `not installed: ${missing.join(', ')}`;
}

/** Runs a program to its end. Rejects when it cannot be started or takes longer than `timeoutMs` (it is killed then). */
export async function runProgram(
  name: string,
  parameters: readonly string[],
  options: { timeoutMs?: number; env?: Readonly<Record<string, string>>; input?: string; cwd?: string } = {},
): Promise<ProgramResult> {
  const path = name.includes('/') ? name : findProgram(name);
  if (path === undefined) throw new Error(`${name} is not installed`);
  const { timeoutMs = 60_000, env, input = '', cwd } = options;
  const child = spawn(path, parameters, {
    env: { ...process.env, ...env },
    timeout: timeoutMs,
    killSignal: 'SIGKILL',
    ...(cwd === undefined ? {} : { cwd }),
  });
  const ended = Promise.withResolvers<number | null>();
  child.on('error', ended.reject);
  child.on('close', (status, signal) => {
    if (signal === 'SIGKILL') ended.reject(new Error(`${name} was killed (it had ${timeoutMs} ms): ${stderr}`));
    else ended.resolve(status);
  });
  let stdout = '';
  let stderr = '';
  child.stdout.setEncoding('utf8').on('data', (text: string) => (stdout += text));
  child.stderr.setEncoding('utf8').on('data', (text: string) => (stderr += text));
  child.stdin.on('error', () => {}); // it ended without reading all of its input
  child.stdin.end(input);
  return { status: await ended.promise, stdout, stderr };
}

function isExecutable(path: string): boolean {
  try {
    accessSync(path, constants.X_OK);
    return true;
  } catch {
    return false;
  }
}
