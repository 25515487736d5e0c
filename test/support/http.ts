import assert from 'node:assert/strict';
import { request } from 'node:http';

import type { MirrorSummary } from '../../src/mirror/report/mirror-summary.ts';
import type { QueryReport } from '../../src/mirror/report/query-report.ts';
import { parseMetrics, type MetricFamily } from './prometheus.ts';

/** What a server answered. */
export interface HttpAnswer {
  readonly status: number;
  readonly headers: Readonly<Record<string, string | string[] | undefined>>;
  readonly body: string;
}

/** Asks an HTTP server on the loopback interface; `headers` win over those that are sent anyway, Host among them. */
export async function ask(
  port: number,
  path: string,
  options: { readonly method?: string; readonly headers?: Readonly<Record<string, string>> } = {},
): Promise<HttpAnswer> {
  return new Promise((resolve, reject) => {
    const asked = request({ host: '127.0.0.1', port, path, agent: false, timeout: 10_000, ...options }, (answer) => {
      let body = '';
      answer.setEncoding('utf8');
      answer.on('data', (text: string) => (body += text));
      answer.on('end', () => resolve({ status: answer.statusCode ?? 0, headers: answer.headers, body }));
      answer.on('error', reject);
    });
    asked.on('timeout', () => asked.destroy(new Error(`no answer to ${path} in time`)));
    asked.on('error', reject);
    asked.end();
  });
}

/** `/mirrors`. */
export async function askMirrors(port: number): Promise<readonly MirrorSummary[]> {
  return (JSON.parse((await askFine(port, '/mirrors')).body) as { mirrors: MirrorSummary[] }).mirrors;
}

/** `/queries`. */
export async function askQueries(port: number): Promise<readonly QueryReport[]> {
  return (JSON.parse((await askFine(port, '/queries')).body) as { queries: QueryReport[] }).queries;
}

/** `/metrics`, parsed, by name. */
export async function askMetrics(port: number): Promise<ReadonlyMap<string, MetricFamily>> {
  return parseMetrics((await askFine(port, '/metrics')).body);
}

/** The value of the one sample that has these labels, whatever others it has. `name` is the sample's own. */
export function sample(
  metrics: ReadonlyMap<string, MetricFamily>,
  name: string,
  labels: Readonly<Record<string, string>> = {},
): number {
  const fitting = [...metrics.values()]
    .flatMap(({ samples }) => samples)
    .filter((one) => one.name === name && Object.entries(labels).every(([key, value]) => one.labels[key] === value));
  assert.equal(fitting.length, 1, `${fitting.length} of ${name} ${JSON.stringify(labels)}`);
  return fitting[0]?.value ?? NaN;
}

async function askFine(port: number, path: string): Promise<HttpAnswer> {
  const answer = await ask(port, path);
  assert.equal(answer.status, 200, `${path}: ${answer.body}`);
  return answer;
}
