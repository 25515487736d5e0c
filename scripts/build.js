// Bundles the sources and the packages that they use into a few files: a start reads and compiles those of what it runs,
// and not hundreds. `node scripts/build.js [FOLDER]`; without one it is dist, and the folder is removed before.
import { cpSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { join, resolve } from 'node:path';
import { fileURLToPath } from 'node:url';
import { build } from 'esbuild';

const root = fileURLToPath(new URL('..', import.meta.url));
const folder = resolve(process.argv[2] ?? join(root, 'dist'));

/** What is started as a process or a thread of its own. All files are in one folder, where `entryFile` looks for these. */
const entries = ['main', 'supervisor/pooler-thread', 'mirror/replay/mirror-process', 'mirror/replay/parent-watchdog'];

/** libpg-query reads a WebAssembly from beside its own file. The others are for pg in surroundings that are not these. */
const external = ['libpg-query', 'pg-native', 'pg-cloudflare'];

// Packages in CommonJS ask for Node's own modules by `require`, which a module has not.
const banner = [
  "import { createRequire as createRequireOfBundle } from 'node:module';",
  'const require = createRequireOfBundle(import.meta.url);',
  'const { filename: __filename, dirname: __dirname } = import.meta;',
].join('\n');

rmSync(folder, { recursive: true, force: true });
const { metafile } = await build({
  absWorkingDir: root,
  entryPoints: entries.map((entry) => ({ in: `src/${entry}.ts`, out: entry.replace(/.*\//, '') })),
  outdir: folder,
  bundle: true,
  splitting: true,
  platform: 'node',
  format: 'esm',
  target: 'node22.12',
  external,
  banner: { js: banner },
  // Stack traces are readable as they are; with --enable-source-maps they name the sources.
  sourcemap: true,
  sourcesContent: false,
  metafile: true,
  logLevel: 'warning',
});
cpSync(join(root, 'src/http/page/browser'), join(folder, 'browser'), { recursive: true });
writeFileSync(join(folder, 'THIRD-PARTY-LICENSES'), licenses(Object.keys(metafile.inputs)));

/**
 * The licenses of the packages that are in the bundle: all but one ask that they go along.
 *
 * @param {readonly string[]} inputs the bundled files, relative to the root
 */
function licenses(inputs) {
  const packages = new Set(inputs.flatMap((input) => /^.*node_modules\/(?:@[^/]+\/)?[^/]+/.exec(input) ?? []));
  return [...packages]
    .toSorted()
    .map(licenseOf)
    .join(`\n${'-'.repeat(80)}\n\n`);
}

/** @param {string} path of a package */
function licenseOf(path) {
  const directory = join(root, path);
  const { name, version, license } = JSON.parse(readFileSync(join(directory, 'package.json'), 'utf8'));
  const file = readdirSync(directory).find((entry) => /^licen[cs]e/i.test(entry));
  if (file === undefined) return `${name} ${version}: ${license}\n`;
  return `${name} ${version}\n\n${readFileSync(join(directory, file), 'utf8').trim()}\n`;
}
