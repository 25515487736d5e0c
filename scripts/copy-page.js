import { cpSync } from 'node:fs';

// The compiler copies no HTML and CSS.
cpSync(new URL('../src/http/page/browser', import.meta.url), new URL('../dist/http/page/browser', import.meta.url), {
  recursive: true,
});
