import type { QueryReport } from '../../mirror/report/query-report.ts';
import type { Findings } from './findings.ts';
import { classesOf, figuresOf, headingOf, oneLine, sectionsOf, spanOf, totalsOf } from './words.ts';

const MAX_QUERY = 200;

/** To be pasted into a pull request. */
export function markdownReport(found: Findings): string {
  const lines = ['## pgmirror report', '', `**${plain(found.verdict)}**`, '', spanOf(found), ''];
  for (const mirror of found.mirrors) {
    lines.push(`- ${plain(headingOf(mirror))}`, ...totalsOf(mirror, found).map((line) => `  - ${plain(line)}`));
  }
  for (const { title, queries } of sectionsOf(found)) {
    lines.push('', `### ${title}`, '', ...HEADER, ...queries.map(rowOf));
  }
  return `${lines.join('\n')}\n`;
}

const HEADER = [
  '| query | calls | source p50 / p95 / p99 ms | mirror p50 / p95 / p99 ms | p95 ratio (95 % confidence) | lost | what differs |',
  '|---|--:|--:|--:|--:|--:|---|',
];

function rowOf(query: QueryReport): string {
  const cells = [
    `${code(oneLine(query.query, MAX_QUERY))} <sub>${query.fingerprint}</sub>`,
    ...figuresOf(query),
    classesOf(query)
      .map((line) => plain(oneLine(line, MAX_QUERY)))
      .join('<br>'),
  ];
  return `| ${cells.join(' | ')} |`;
}

/** As it is, in a table's cell: a text may hold backticks, and a bar would end the cell. */
function code(text: string): string {
  if (text === '') return '';
  const longest = Math.max(0, ...[...text.matchAll(/`+/g)].map(([run]) => run.length));
  const fence = '`'.repeat(longest + 1);
  const space = longest > 0 ? ' ' : '';
  return `${fence}${space}${text.replaceAll('|', String.raw`\|`)}${space}${fence}`;
}

/** Nothing of it is markup. */
function plain(text: string): string {
  return text.replaceAll(/[\\`*_{}[\]<>#|~!]/g, (character) => `\\${character}`);
}
