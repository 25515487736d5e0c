import { readFileSync } from 'node:fs';

/** This package's version; package.json is two folders up from the sources and from the build alike. */
export function packageVersion(): string {
  const contents: unknown = JSON.parse(readFileSync(new URL('../../package.json', import.meta.url), 'utf8'));
  const version = typeof contents === 'object' && contents !== null && 'version' in contents ? contents.version : '';
  return typeof version === 'string' ? version : '';
}
