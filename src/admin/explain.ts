import type { AdminAnswer } from './admin-answer.ts';
import type { AdminHost } from './admin-host.ts';

/** EXPLAIN fingerprint: the plans of a query on its source and on each of its mirrors, line by line. */
export async function explain(host: AdminHost, fingerprint = ''): Promise<AdminAnswer> {
  const told = await host.explain(fingerprint.toLowerCase());
  if ('refusal' in told) return { kind: 'error', code: told.code, message: told.refusal };
  return {
    kind: 'rows',
    tag: 'EXPLAIN',
    columns: [
      { name: 'side', type: 'text' },
      { name: 'database', type: 'text' },
      { name: 'plan', type: 'text' },
    ],
    rows: told.plans.flatMap(({ side, database, lines }) => lines.map((line) => [side, database, line])),
  };
}
