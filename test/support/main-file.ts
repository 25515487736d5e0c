import { fileURLToPath } from 'node:url';

const file = process.env.PGMIRROR_MAIN_FILE ?? 'src/main.ts';

/**
 * The program that tests start: the TypeScript sources, unless `PGMIRROR_MAIN_FILE` names what was built of them, from the
 * project's folder. `npm test` builds first, since that starts with half the processor time.
 */
export const mainFile = fileURLToPath(new URL(`../../${file}`, import.meta.url));
