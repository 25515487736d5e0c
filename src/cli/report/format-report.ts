import type { Findings } from './findings.ts';
import { htmlReport } from './html.ts';
import { markdownReport } from './markdown.ts';
import type { ReportFormat } from './report-format.ts';
import { tableReport } from './table.ts';

/** The report in the form that was asked for; it ends with a new line. */
export function formatReport(found: Findings, format: ReportFormat): string {
  switch (format) {
    case 'table':
      return tableReport(found);
    case 'json':
      return `${JSON.stringify(jsonOf(found), undefined, 2)}\n`;
    case 'markdown':
      return markdownReport(found);
    case 'html':
      return htmlReport(found);
  }
}

/** Queries once, and the lists as their fingerprints. */
function jsonOf({ at, verdict, mirrors, queries, slower, faster, failing, different, met }: Findings): object {
  const names = (list: Findings['queries']): object[] =>
    list.map(({ source, destination, fingerprint }) => ({ source, destination, fingerprint }));
  return {
    at,
    verdict,
    mirrors,
    slower: names(slower),
    faster: names(faster),
    failing: names(failing),
    different: names(different),
    failed_on: met.map(({ condition, query: { destination, fingerprint } }) => ({
      condition,
      destination,
      fingerprint,
    })),
    queries,
  };
}
