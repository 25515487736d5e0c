/** Numbers and times as the page writes them. Nothing measured is an en dash. */

/** `1 234 567`; @param {number} count */
export function grouped(count) {
  return String(Math.round(count)).replaceAll(/\B(?=(\d{3})+$)/g, '\u202f');
}

/** Three significant digits; @param {number | null} value */
export function milliseconds(value) {
  if (value === null) return '–';
  if (value >= 10_000) return `${(value / 1000).toFixed(1)} s`;
  return `${value >= 100 ? value.toFixed(0) : value >= 10 ? value.toFixed(1) : value.toFixed(2)} ms`;
}

/** @param {number | null} value */
export function ratio(value) {
  return value === null ? '–' : `${value >= 10 ? value.toFixed(1) : value.toFixed(2)}×`;
}

/** What was lost on the mirror, or won (negative); @param {number} value */
export function duration(value) {
  const size = Math.abs(value);
  const sign = value < 0 ? '−' : '';
  if (size >= 3_600_000) return `${sign}${(size / 3_600_000).toFixed(1)} h`;
  if (size >= 60_000) return `${sign}${(size / 60_000).toFixed(1)} min`;
  return size >= 1000 ? `${sign}${(size / 1000).toFixed(1)} s` : `${sign}${size.toFixed(0)} ms`;
}

/** @param {number} value */
export function bytes(value) {
  if (value >= 1_048_576) return `${(value / 1_048_576).toFixed(1)} MiB`;
  return value >= 1024 ? `${(value / 1024).toFixed(0)} KiB` : `${value} B`;
}

/** @param {number | null} share */
export function percent(share) {
  return share === null ? '–' : `${(share * 100).toFixed(share >= 0.9995 || share === 0 ? 0 : 1)} %`;
}
