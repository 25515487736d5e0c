import { drawn, element } from './dom.js';
import { milliseconds } from './format.js';

/** Lines of both sides over time, and the distribution of latencies. */

const WIDTH = 480;
const HEIGHT = 132;
const LEFT = 68;
const BOTTOM = 20;
const TOP = 8;

/**
 * A chart of lines over the last minutes. `series`: name, class and values; an undefined value is a gap.
 * `summary` is what it says to who does not see it.
 */
export function lineChart({ title, summary, times, series, write, spanMs }) {
  const values = series.flatMap((one) => one.values.filter((value) => value !== undefined));
  const highest = niceAbove(Math.max(...values, 0));
  const last = times.at(-1) ?? 0;
  const x = (time) => LEFT + (WIDTH - LEFT - 6) * (1 - (last - time) / spanMs);
  const y = (value) => TOP + (HEIGHT - TOP - BOTTOM) * (1 - value / highest);
  const picture = drawn('svg', {
    viewBox: `0 0 ${WIDTH} ${HEIGHT}`,
    role: 'img',
    class: 'chart',
    'aria-label': `${title}: ${summary}`,
  });
  // Where whole numbers are written, the middle may read like an end.
  const half = write(highest / 2);
  const parts = half === write(0) || half === write(highest) ? [0, 1] : [0, 0.5, 1];
  for (const part of parts) {
    const at = y(highest * part);
    picture.append(
      drawn('line', { x1: LEFT, x2: WIDTH - 6, y1: at, y2: at, class: 'grid' }),
      drawn('text', { x: LEFT - 6, y: at + 4, class: 'tick end' }, write(highest * part)),
    );
  }
  const minutes = Math.round(spanMs / 60_000);
  picture.append(
    drawn('text', { x: LEFT, y: HEIGHT - 4, class: 'tick' }, `${minutes} min ago`),
    drawn('text', { x: WIDTH - 6, y: HEIGHT - 4, class: 'tick end' }, 'now'),
  );
  for (const { values: points, className } of series) {
    picture.append(drawn('path', { d: pathOf(points, times, x, y), class: `line ${className}` }));
  }
  const legend = element('p', { class: 'legend' });
  for (const { name, className } of series) {
    const sample = drawn('svg', { viewBox: '0 0 24 8', class: 'key', 'aria-hidden': 'true' });
    sample.append(drawn('path', { d: 'M0 4H24', class: `line ${className}` }));
    legend.append(element('span', {}, sample, ` ${name}`));
  }
  return element('figure', {}, element('figcaption', {}, title), picture, legend);
}

function pathOf(values, times, x, y) {
  let path = '';
  let pen = false;
  values.forEach((value, index) => {
    if (value === undefined) pen = false;
    else {
      path += `${pen ? 'L' : 'M'}${x(times[index]).toFixed(1)} ${y(value).toFixed(1)}`;
      // A single point is drawn as a dot: a line of no length with round ends.
      if (!pen) path += 'h0';
      pen = true;
    }
  });
  return path;
}

/** 1, 2 or 5 times a power of ten. */
function niceAbove(value) {
  if (value <= 0) return 1;
  const power = 10 ** Math.floor(Math.log10(value));
  return [1, 2, 5, 10].map((step) => step * power).find((step) => step >= value) ?? value;
}

/**
 * How latencies are distributed on both sides, source above and mirror below the middle, on one logarithmic scale of time.
 * `cells`: upper bounds in milliseconds and counts. A small one is for a table's row, and says nothing of its own.
 */
export function distribution({ source, mirror }, { small = false } = {}) {
  const all = [...source, ...mirror];
  if (all.length === 0) return element('span', { class: 'quiet' }, '–');
  const [width, height, margin] = small ? [120, 28, 0] : [480, 150, 22];
  const steps = all.map(([upper]) => Math.log2(upper) * 2);
  const [first, last] = [Math.min(...steps) - 1, Math.max(...steps)];
  const cellWidth = width / Math.max(last - first, 6);
  const half = (height - margin) / 2;
  const name = small ? { 'aria-hidden': 'true' } : { role: 'img', 'aria-label': summaryOf(source, mirror) };
  const picture = drawn('svg', { viewBox: `0 0 ${width} ${height}`, class: small ? 'spark' : 'chart', ...name });
  for (const [cells, className, up] of [
    [source, 'source', true],
    [mirror, 'mirror', false],
  ]) {
    const most = Math.max(...cells.map(([, count]) => count));
    for (const [upper, count] of cells) {
      const size = Math.max(1, (count / most) * (half - 2));
      const at = (Math.log2(upper) * 2 - 1 - first) * cellWidth;
      const y = up ? half - size : half;
      picture.append(
        drawn('rect', {
          x: at.toFixed(1),
          y: y.toFixed(1),
          width: (cellWidth * 0.9).toFixed(1),
          height: size.toFixed(1),
          class: className,
        }),
      );
    }
  }
  picture.append(drawn('line', { x1: 0, x2: width, y1: half, y2: half, class: 'grid' }));
  if (!small) {
    for (let step = Math.ceil(first); step <= last; step += Math.max(2, Math.ceil((last - first) / 6))) {
      const x = (step - first) * cellWidth;
      picture.append(
        drawn('text', { x: Math.min(x, width - 50), y: height - 5, class: 'tick' }, milliseconds(2 ** (step / 2))),
      );
    }
  }
  return picture;
}

function summaryOf(source, mirror) {
  const range = (cells) =>
    cells.length === 0 ? 'nothing measured' : `up to ${milliseconds(cells[0][0])} to ${milliseconds(cells.at(-1)[0])}`;
  return `Distribution of latencies. Source, above: ${range(source)}. Mirror, below: ${range(mirror)}.`;
}
