import { chromium, type Browser, type Page } from 'playwright-core';

import type { Cleanup } from './cleanup.ts';
import { findProgram } from './programs.ts';

const names = ['chromium', 'chromium-browser', 'google-chrome', 'google-chrome-stable'];

/** For a test's `skip`: the browser is the machine's own, and is not downloaded. */
export const skipWithoutBrowser: string | false =
  executable() === undefined ? 'no Chromium is installed (apt-get install chromium)' : false;

/** What a page's console and network said. */
export interface WatchedPage {
  readonly page: Page;
  /** Errors of the console, of scripts, and requests that left the page's own origin. */
  readonly problems: string[];
}

/** Starts the machine's Chromium, and ends it when the test or file is over. */
export async function startBrowser(cleanup: Cleanup): Promise<Browser> {
  const browser = await chromium.launch({
    executablePath: executable() ?? '',
    // Chromium's sandbox does not work as root.
    args: process.getuid?.() === 0 ? ['--no-sandbox'] : [],
  });
  cleanup.after(async () => browser.close());
  return browser;
}

/** Opens a page of its own, and notes what goes wrong there. */
export async function openPage(
  browser: Browser,
  url: string,
  options: { readonly width: number; readonly height: number; readonly scheme?: 'light' | 'dark' },
): Promise<WatchedPage> {
  const { width, height, scheme = 'light' } = options;
  const page = await browser.newPage({ viewport: { width, height }, colorScheme: scheme });
  const problems: string[] = [];
  const origin = new URL(url).origin;
  page.on('console', (message) => {
    if (message.type() === 'error' || message.type() === 'warning') problems.push(message.text());
  });
  page.on('pageerror', (error) => problems.push(error.message));
  page.on('request', (request) => {
    if (!request.url().startsWith(origin) && !request.url().startsWith('data:'))
      problems.push(`asked ${request.url()}`);
  });
  await page.goto(url);
  return { page, problems };
}

function executable(): string | undefined {
  return names.map((name) => findProgram(name)).find((path) => path !== undefined);
}
