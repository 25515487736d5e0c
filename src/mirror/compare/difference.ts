import type { AnswerClass } from '../report/query-report.ts';
import { DigestFlag, DigestOffset } from './digest-format.ts';

/** In which way two answers are not the same. */
export interface Difference {
  readonly answerClass: AnswerClass;
  /** The columns whose values differ; undefined: not known. */
  readonly columns: readonly number[] | undefined;
}

/** Compares two digests; undefined: the answers are the same. */
export function differenceOf(source: Buffer, mirror: Buffer): Difference | undefined {
  const differs = (from: number, to: number): boolean => source.compare(mirror, from, to, from, to) !== 0;
  if (differs(DigestOffset.Tags, DigestOffset.Affected)) return { answerClass: 'tag', columns: undefined };
  if (differs(DigestOffset.Rows, DigestOffset.Sum)) return { answerClass: 'row_count', columns: undefined };
  if (differs(DigestOffset.Shape, DigestOffset.Tags)) return { answerClass: 'schema', columns: undefined };
  if (differs(DigestOffset.Affected, DigestOffset.Flags)) return { answerClass: 'tag', columns: undefined };
  if (differs(DigestOffset.Sum, DigestOffset.Ordered)) {
    return { answerClass: 'row_content', columns: differentColumns(source, mirror) };
  }
  return differs(DigestOffset.Ordered, DigestOffset.Shape)
    ? { answerClass: 'order_only', columns: undefined }
    : undefined;
}

/** What a digest says in a few words, without saying what the rows hold. `columns` are those that differ, if it is known. */
export function digestWords(digest: Buffer, answerClass: AnswerClass, columns?: readonly number[]): string {
  const end = digest.indexOf(0, DigestOffset.Tag);
  const tag = digest.toString(
    'latin1',
    DigestOffset.Tag,
    end < 0 ? DigestOffset.Columns : Math.min(end, DigestOffset.Columns),
  );
  const rows = digest.readDoubleLE(DigestOffset.Rows);
  if (answerClass === 'tag') return tag;
  if (answerClass === 'schema')
    return `names or types of columns #${digest.toString('hex', DigestOffset.Shape, DigestOffset.Tags)}`;
  const count = `${rows} ${rows === 1 ? 'row' : 'rows'}`;
  if (answerClass === 'row_count') return count;
  const [from, to] =
    answerClass === 'order_only'
      ? [DigestOffset.Ordered, DigestOffset.Shape]
      : [DigestOffset.Sum, DigestOffset.Ordered];
  const where = columns === undefined || columns.length === 0 ? '' : `, ${columnWords(columns)}`;
  return `${count}${where} #${digest.toString('hex', from, to)}`;
}

/** As people count. */
function columnWords(columns: readonly number[]): string {
  return `column${columns.length === 1 ? '' : 's'} ${columns.map((column) => column + 1).join(', ')}`;
}

function differentColumns(source: Buffer, mirror: Buffer): number[] | undefined {
  const known = (digest: Buffer): boolean => ((digest[DigestOffset.Flags] ?? 0) & DigestFlag.ColumnsKnown) !== 0;
  const count = source[DigestOffset.ColumnCount] ?? 0;
  if (!known(source) || !known(mirror) || count !== mirror[DigestOffset.ColumnCount]) return undefined;
  const columns: number[] = [];
  for (let column = 0; column < count; column++) {
    const at = DigestOffset.Columns + 4 * column;
    if (source.readUInt32LE(at) !== mirror.readUInt32LE(at)) columns.push(column);
  }
  return columns;
}
