/** One line of a metric family. */
export interface MetricSample {
  readonly name: string;
  readonly labels: Readonly<Record<string, string>>;
  readonly value: number;
}

/** A metric family: what stands under one `# TYPE`. */
export interface MetricFamily {
  readonly name: string;
  readonly type: string;
  readonly help: string;
  readonly samples: readonly MetricSample[];
}

const SAMPLE = /^([a-zA-Z_:][a-zA-Z0-9_:]*)(?:\{(.*)\})? (\S+)(?: -?\d+)?$/;
const LABEL = /([a-zA-Z_][a-zA-Z0-9_]*)="((?:[^"\\]|\\[\\"n])*)"(,|$)/y;
const SUFFIXES: Readonly<Record<string, readonly string[]>> = { histogram: ['_bucket', '_sum', '_count'] };

/**
 * Reads Prometheus' text format 0.0.4 strictly: throws for a line that is none, a sample outside of its family, one that is
 * there twice, and a histogram whose buckets do not add up.
 */
export function parseMetrics(text: string): Map<string, MetricFamily> {
  if (!text.endsWith('\n')) throw new Error('the last line does not end');
  const families = new Map<string, MetricFamily & { samples: MetricSample[] }>();
  const seen = new Set<string>();
  let help = { name: '', text: '' };
  let family: (MetricFamily & { samples: MetricSample[] }) | undefined;
  for (const line of text.split('\n')) {
    if (line === '') continue;
    const comment = /^# (HELP|TYPE) (\S+) ?(.*)$/.exec(line);
    if (comment?.[1] === 'HELP') {
      help = { name: comment[2] ?? '', text: comment[3] ?? '' };
    } else if (comment?.[1] === 'TYPE') {
      const name = comment[2] ?? '';
      if (families.has(name) || help.name !== name) throw new Error(`family ${name} twice or without HELP`);
      family = { name, type: comment[3] ?? '', help: help.text, samples: [] };
      families.set(name, family);
    } else {
      const sample = parseSample(line);
      const key = sample.name + keyOf(sample.labels);
      if (!family || !belongs(sample.name, family)) throw new Error(`outside of its family: ${line}`);
      if (seen.has(key)) throw new Error(`twice: ${line}`);
      seen.add(key);
      family.samples.push(sample);
    }
  }
  for (const one of families.values()) if (one.type === 'histogram') checkHistogram(one);
  return families;
}

function belongs(name: string, { name: family, type }: MetricFamily): boolean {
  return (SUFFIXES[type] ?? ['']).some((suffix) => name === family + suffix);
}

function parseSample(line: string): MetricSample {
  const match = SAMPLE.exec(line);
  const value = match?.[3] === '+Inf' ? Infinity : Number(match?.[3] ?? NaN);
  if (match === null || (Number.isNaN(value) && match[3] !== 'NaN')) throw new Error(`no sample: ${line}`);
  return { name: match[1] ?? '', labels: parseLabels(match[2] ?? ''), value };
}

function parseLabels(text: string): Record<string, string> {
  const labels: Record<string, string> = {};
  for (let at = 0; at < text.length; at = LABEL.lastIndex) {
    LABEL.lastIndex = at;
    const match = LABEL.exec(text);
    if (match === null || Object.hasOwn(labels, match[1] ?? '')) throw new Error(`labels: ${text}`);
    labels[match[1] ?? ''] = (match[2] ?? '').replaceAll(/\\(.)/g, (_, escaped: string) =>
      escaped === 'n' ? '\n' : escaped,
    );
  }
  return labels;
}

function checkHistogram({ name, samples }: MetricFamily): void {
  const last = new Map<string, number>();
  for (const { name: sample, labels, value } of samples) {
    const { le, ...rest } = labels;
    const key = keyOf(rest);
    if (sample === `${name}_bucket` && value < (last.get(key) ?? 0)) throw new Error(`${name} le=${le} is less`);
    if (sample === `${name}_bucket`) last.set(key, value);
    if (sample === `${name}_count` && value !== last.get(key)) throw new Error(`${name}_count is not the last bucket`);
  }
}

function keyOf(labels: Readonly<Record<string, string | undefined>>): string {
  const names = Object.keys(labels).toSorted((a, b) => (a < b ? -1 : 1));
  return JSON.stringify(names.map((name) => [name, labels[name]]));
}
