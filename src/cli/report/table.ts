import type { QueryReport } from '../../mirror/report/query-report.ts';
import type { Findings } from './findings.ts';
import {
  classesOf,
  grouped,
  headingOf,
  lostOf,
  milliseconds,
  oneLine,
  ratioOf,
  sectionsOf,
  spanOf,
  totalsOf,
} from './words.ts';

/** Columns of a terminal that the table fits. */
const WIDTH = 100;

/** For a terminal. */
export function tableReport(found: Findings): string {
  const lines = [...wrapped(found.verdict, ''), spanOf(found), ''];
  for (const mirror of found.mirrors) {
    lines.push(oneLine(headingOf(mirror), WIDTH), ...totalsOf(mirror, found).flatMap((line) => wrapped(line, '  ')));
  }
  for (const { title, queries } of sectionsOf(found)) {
    lines.push(
      '',
      `${title} (milliseconds)`,
      HEADER,
      ...queries.flatMap((query) => rowsOf(query, found.mirrors.length > 1)),
    );
  }
  return `${lines.join('\n')}\n`;
}

const HEADER = row([
  'fingerprint',
  'calls',
  ['source p50', 'p95', 'p99'],
  ['mirror p50', 'p95', 'p99'],
  'p95 ratio',
  'lost',
]);

function rowsOf(query: QueryReport, named: boolean): string[] {
  const times = (p50: number | null, p95: number | null, p99: number | null): [string, string, string] => [
    milliseconds(p50),
    milliseconds(p95),
    milliseconds(p99),
  ];
  const figures = row([
    query.fingerprint,
    shortened(query.calls),
    times(query.source_p50_ms, query.source_p95_ms, query.source_p99_ms),
    times(query.mirror_p50_ms, query.mirror_p95_ms, query.mirror_p99_ms),
    ratioOf(query),
    lostOf(query),
  ]);
  const text = `${named ? `${query.destination}: ` : ''}${query.query}`;
  return [
    figures,
    ...(text === '' ? [] : [`    ${oneLine(text, WIDTH - 4)}`]),
    ...classesOf(query).map((line) => `    ${oneLine(line, WIDTH - 4)}`),
  ];
}

/** A count in eight characters. */
function shortened(count: number): string {
  return count >= 10_000_000 ? `${grouped(Math.round(count / 1_000_000))} M` : grouped(count);
}

type Times = readonly [string, string, string];

function row([fingerprint, calls, source, mirror, ratio, lost]: [
  string,
  string,
  Times,
  Times,
  string,
  string,
]): string {
  const times = ([p50, p95, p99]: Times): string => `${p50.padStart(10)} ${p95.padStart(5)} ${p99.padStart(5)}`;
  return [
    `  ${fingerprint.padEnd(16)}`,
    calls.padStart(8),
    times(source),
    times(mirror),
    ratio.padStart(17),
    lost.padStart(6),
  ]
    .join(' ')
    .trimEnd();
}

/** Breaks between words, so that no line is longer than the table. */
function wrapped(text: string, indent: string): string[] {
  const lines: string[] = [];
  let line = indent;
  for (const word of oneLine(text, 2_000).split(' ')) {
    if (line.trim() !== '' && line.length + 1 + word.length > WIDTH) {
      lines.push(line);
      line = `${indent}  `;
    }
    line += line.trim() === '' ? word : ` ${word}`;
  }
  return [...lines, line];
}
