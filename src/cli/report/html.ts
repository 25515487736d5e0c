import type { QueryReport } from '../../mirror/report/query-report.ts';
import type { Findings } from './findings.ts';
import { classesOf, figuresOf, headingOf, sectionsOf, spanOf, totalsOf } from './words.ts';

/** One file that loads nothing. */
export function htmlReport(found: Findings): string {
  const mirrors = found.mirrors.map(
    (mirror) =>
      `<li><strong>${escaped(headingOf(mirror))}</strong><ul>${totalsOf(mirror, found)
        .map((line) => `<li>${escaped(line)}</li>`)
        .join('')}</ul></li>`,
  );
  const sections = sectionsOf(found).map(
    ({ title, queries }) =>
      `<section><h2>${escaped(title)}</h2><div class="wide"><table><thead>${HEADER}</thead><tbody>${queries
        .map(rowOf)
        .join('\n')}</tbody></table></div></section>`,
  );
  return `<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta http-equiv="Content-Security-Policy" content="default-src 'none'; style-src 'unsafe-inline'">
<title>pgmirror report</title>
<style>${STYLE}</style>
</head>
<body>
<main>
<h1>pgmirror report</h1>
<p class="verdict">${escaped(found.verdict)}</p>
<p>${escaped(spanOf(found))}</p>
<ul>${mirrors.join('\n')}</ul>
${sections.join('\n')}
</main>
</body>
</html>
`;
}

const HEADER =
  '<tr><th scope="col">query</th><th scope="col">calls</th><th scope="col">source p50 / p95 / p99 ms</th>' +
  '<th scope="col">mirror p50 / p95 / p99 ms</th><th scope="col">p95 ratio (95 % confidence)</th><th scope="col">lost</th></tr>';

const STYLE = `
:root { color-scheme: light dark; font: 16px/1.5 system-ui, sans-serif; }
body { margin: 0; } main { max-width: 75rem; margin: 0 auto; padding: 1rem; }
.verdict { font-size: 1.25rem; font-weight: 600; }
.wide { overflow-x: auto; } table { border-collapse: collapse; width: 100%; }
th, td { padding: .4rem .6rem; text-align: right; vertical-align: top; border-bottom: 1px solid #8886; white-space: nowrap; }
th:first-child, td:first-child { text-align: left; white-space: normal; min-width: 20rem; }
code { overflow-wrap: anywhere; } small { opacity: .75; }`;

function rowOf(query: QueryReport): string {
  const classes = classesOf(query).map((line) => `<br><small>${escaped(line)}</small>`);
  const name = `<code>${escaped(query.query)}</code><br><small>${query.fingerprint} · ${escaped(query.destination)}</small>`;
  return `<tr><td>${name}${classes.join('')}</td>${figuresOf(query)
    .map((figure) => `<td>${escaped(figure)}</td>`)
    .join('')}</tr>`;
}

const entities: Readonly<Record<string, string>> = {
  '&': '&amp;',
  '<': '&lt;',
  '>': '&gt;',
  '"': '&quot;',
  "'": '&#39;',
};

function escaped(text: string): string {
  return text.replaceAll(/[&<>"']/g, (character) => entities[character] ?? character);
}
