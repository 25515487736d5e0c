#!/usr/bin/env node
// Everything but this check is imported dynamically: an older Node must get to say that it is too old, and not fail before
// on a module that it lacks.
const OLDEST = [22, 12] as const;

const [major = 0, minor = 0] = process.versions.node.split('.').map(Number);
if (major < OLDEST[0] || (major === OLDEST[0] && minor < OLDEST[1])) {
  console.error(`pgmirror needs Node.js ${OLDEST.join('.')} or newer, found ${process.versions.node}`);
  process.exitCode = 1;
} else {
  const { main } = await import('./cli/main-command.ts');
  process.exitCode = await main(process.argv.slice(2));
}
