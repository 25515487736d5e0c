import { fileURLToPath } from 'node:url';

/**
 * The file of a worker's or child's entry, beside the module that asks: `.ts` when run from the sources, `.js` when
 * built (the compiler rewrites imports, but not paths).
 */
export function entryFile(relative: string, from: string): string {
  const extension = from.endsWith('.ts') ? '.ts' : '.js';
  return fileURLToPath(new URL(relative + extension, from));
}
