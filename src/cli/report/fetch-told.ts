import type { Told } from './findings.ts';

const TIMEOUT_MS = 10_000;
const MAX_BYTES = 64 * 1_048_576;

/** Asks a running pgmirror. Rejects, in one line, where it cannot be reached or is something else. */
export async function fetchTold(address: string): Promise<Told> {
  const [mirrors, queries] = await Promise.all([ask(address, 'mirrors'), ask(address, 'queries')]);
  return { mirrors: mirrors as Told['mirrors'], queries: queries as Told['queries'] };
}

async function ask(address: string, what: 'mirrors' | 'queries'): Promise<unknown[]> {
  const base = address.endsWith('/') ? address : `${address}/`;
  const url = new URL(what, base);
  let text: string;
  try {
    const answer = await fetch(url, { signal: AbortSignal.timeout(TIMEOUT_MS), redirect: 'error' });
    if (!answer.ok) throw new Error(`it answered ${answer.status}`);
    text = await bounded(answer);
  } catch (error) {
    throw new Error(`cannot read ${url.href}: ${reasonOf(error)}`, { cause: error });
  }
  const list = listIn(text, what);
  if (list === undefined) throw new Error(`${url.href} is not a pgmirror's`);
  return list;
}

async function bounded(answer: Response): Promise<string> {
  const parts: Uint8Array[] = [];
  let bytes = 0;
  for await (const part of answer.body ?? []) {
    bytes += part.length;
    if (bytes > MAX_BYTES) throw new Error('its answer is too long');
    parts.push(part);
  }
  return Buffer.concat(parts).toString('utf8');
}

function listIn(text: string, what: string): unknown[] | undefined {
  try {
    const parsed: unknown = JSON.parse(text);
    const list: unknown = typeof parsed === 'object' && parsed !== null ? Reflect.get(parsed, what) : undefined;
    return Array.isArray(list) ? list : undefined;
  } catch {
    return undefined;
  }
}

function reasonOf(error: unknown): string {
  if (!(error instanceof Error)) return String(error);
  return error.cause instanceof Error ? error.cause.message || String(Reflect.get(error.cause, 'code')) : error.message;
}
