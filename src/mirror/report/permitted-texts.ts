import type { AnswerExample, QueryReport } from './query-report.ts';
import type { ReportOptions } from './report-options.ts';

/** The row with what of its texts may be shown now: what was noted of them while more was permitted stays where it is. */
export function permittedTexts(row: QueryReport, statements: ReportOptions['statements']): QueryReport {
  if (statements === 'full') return row;
  const examples = Object.entries(row.examples).map(([name, some]) => [name, some.map(withoutText)]);
  return {
    ...row,
    query: statements === 'none' ? '' : row.query,
    examples: Object.fromEntries(examples) as QueryReport['examples'],
  };
}

function withoutText({ at, source, mirror }: AnswerExample): AnswerExample {
  return { at, source, mirror };
}
