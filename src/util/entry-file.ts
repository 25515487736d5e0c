import { fileURLToPath } from 'node:url';

/**
 * The file of a worker's or child's entry. In the sources it is where `relative` says, seen from the module that asks; what
 * is built has all of its files in one folder.
 */
export function entryFile(relative: string, from: string): string {
  const isSource = from.endsWith('.ts');
  const path = isSource ? `${relative}.ts` : `./${relative.replace(/.*\//, '')}.js`;
  return fileURLToPath(new URL(path, from));
}
