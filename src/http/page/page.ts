import { createHash } from 'node:crypto';
import { readFileSync } from 'node:fs';

/** The parts of the page's script, in the order in which they need one another. */
const SCRIPTS = ['format', 'dom', 'charts', 'mirrors', 'query-detail', 'queries', 'main'] as const;

/**
 * The page as one file that loads nothing, put together from the files beside this one, and the policy that holds the
 * browser to that: no script and no style but these, by their hashes.
 */
export const PAGE = assemble();

function assemble(): { readonly html: string; readonly policy: string } {
  const style = part('page.css');
  const script = SCRIPTS.map((name) => joined(part(`${name}.js`))).join('\n');
  const html = part('page.html')
    .replace('/*style*/', () => style)
    .replace('/*script*/', () => script);
  const policy = [
    "default-src 'none'",
    `script-src '${hashOf(html, 'script')}'`,
    `style-src '${hashOf(html, 'style')}'`,
    "connect-src 'self'",
    'img-src data:',
    "base-uri 'none'",
    "form-action 'none'",
    "frame-ancestors 'none'",
    "require-trusted-types-for 'script'",
  ];
  return { html, policy: policy.join('; ') };
}

function part(name: string): string {
  return readFileSync(new URL(`./browser/${name}`, import.meta.url), 'utf8');
}

/** In one script there is nothing to import. */
function joined(script: string): string {
  return script.replaceAll(/^import .*\n/gm, '').replaceAll(/^export /gm, '');
}

/** Of all that stands between an element's tags, white space included. */
function hashOf(html: string, element: 'script' | 'style'): string {
  const content = new RegExp(`<${element}[^>]*>([^]*?)</${element}>`).exec(html)?.[1] ?? '';
  return `sha256-${createHash('sha256').update(content).digest('base64')}`;
}
