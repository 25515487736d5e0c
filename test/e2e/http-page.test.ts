import assert from 'node:assert/strict';
import { mkdirSync } from 'node:fs';
import { tmpdir, userInfo } from 'node:os';
import { join } from 'node:path';
import { after, before, describe, it } from 'node:test';

import type { Browser } from 'playwright-core';

import { freePort } from '../../src/cli/embedded/free-port.ts';
import { openPage, skipWithoutBrowser, startBrowser } from '../support/browser.ts';
import { inReverse } from '../support/cleanup.ts';
import { eventually } from '../support/eventually.ts';
import { askMirrors, askQueries } from '../support/http.ts';
import { Mirrored } from '../support/mirrored.ts';
import { startTestPostgres, withClient } from '../support/postgres.ts';

/** So many rows that reading them all is slow on any machine, however busy. */
const schema = `CREATE TABLE item (id integer PRIMARY KEY, owner integer) WITH (parallel_workers = 0);
  INSERT INTO item SELECT n, n % 5000 FROM generate_series(1, 200000) n; CREATE INDEX item_owner ON item (owner); ANALYZE`;
const hostile = `SELECT '</script><script>window.hacked = 1</script>' AS "<img src=x onerror=alert(1)>"`;
/** Where pictures of the page stay for whoever wants to look at it; the folder of another user could not be written to. */
const pictures = join(tmpdir(), `pgmirror-page-${userInfo().username}`);

describe('The page', { skip: skipWithoutBrowser }, () => {
  const cleanup = inReverse({ after });
  let mirrored: Mirrored;
  let browser: Browser;
  let port: number;

  before(async () => {
    mkdirSync(pictures, { recursive: true });
    port = await freePort();
    mirrored = await Mirrored.start(
      cleanup,
      { source: await startTestPostgres(cleanup) },
      { schema, general: { http_port: port, mirror_queue: 1000 }, mirroring: { compare: true } },
    );
    browser = await startBrowser(cleanup);
  });

  const open = async (width = 1280, scheme: 'light' | 'dark' = 'light') =>
    openPage(browser, `http://127.0.0.1:${port}/`, { width, height: 900, scheme });

  async function work(count: number): Promise<void> {
    await withClient(mirrored.url, async (client) => {
      for (let n = 1; n <= count; n++) {
        await client.query({ name: 'owned', text: 'SELECT count(*) FROM item WHERE owner = $1', values: [n] });
        await client.query(`SELECT owner FROM item WHERE id = ${n}`);
        // What the mirror has not begun two seconds later would not be measured.
        if (n % 10 === 0) await mirrored.drained();
      }
    });
    await mirrored.drained();
  }

  it('says what to do as long as nothing has been replayed', async () => {
    await mirrored.pgmirror.admin('RESET STATS');
    const { page, problems } = await open();
    await page.getByText('No query has been replayed yet.').waitFor();
    await page.getByText('Nothing has been replayed yet.').waitFor();
    assert.deepEqual(problems, []);
    await page.close();
  });

  it('shows the numbers that /mirrors and /queries tell', async () => {
    await mirrored.onMirror('DROP INDEX item_owner');
    await work(100);
    await mirrored.query(hostile);
    await mirrored.query(`SELECT ${"'long', ".repeat(2_000_000)} 1`).catch(() => undefined);
    await mirrored.query('SELECT count(*) FROM item WHERE random() < 0.5');
    await eventually(async () => (await askMirrors(port))[0]?.comparison.unverified === 1);
    const { page, problems } = await open();
    const row = page.locator('#queries tbody tr').filter({ hasText: 'owner = $1' });
    await row.waitFor();
    const [mirror] = await askMirrors(port);
    const card = await page.locator('article').innerText();
    assert.ok(mirror && card.replaceAll('\u202f', '').includes(`${mirror.mirrored} of ${mirror.total}`), card);
    assert.ok(card.includes('depend on values that each server makes for itself (1)'), card);
    const queries = await askQueries(port);
    const owned = queries.find(({ query }) => query.includes('owner = $1'));
    const cells = await row.locator('td').allInnerTexts();
    assert.equal(cells[0], String(owned?.calls));
    assert.equal(cells[3], `${owned?.p95_ratio?.toFixed((owned.p95_ratio ?? 0) >= 10 ? 1 : 2)}×`);
    assert.equal(await page.locator('#queries tbody tr').count(), queries.length);
    await page.getByText('slower on the mirror').first().waitFor();
    assert.deepEqual(problems, []);
    await page.close();
  });

  it('follows a live workload', async () => {
    const { page, problems } = await open();
    const calls = page.locator('#queries tbody tr').filter({ hasText: 'owner = $1' }).locator('td').first();
    await calls.waitFor();
    const earlier = Number(await calls.innerText());
    await work(5);
    await eventually(async () => Number(await calls.innerText()) === earlier + 5, { what: 'the page to follow' });
    assert.deepEqual(problems, []);
    await page.close();
  });

  it('sorts and searches, opens details by keyboard, and shows hostile text as text', async () => {
    const { page, problems } = await open();
    await page.locator('#queries tbody tr').first().waitFor();
    await page.getByRole('button', { name: 'Calls' }).click();
    const calls = async () =>
      (await page.locator('#queries tbody tr td:nth-child(2)').allInnerTexts()).map((text) => Number(text));
    const descending = await calls();
    assert.deepEqual(
      descending,
      descending.toSorted((a, b) => b - a),
    );
    await page.getByRole('button', { name: 'Calls' }).click();
    assert.deepEqual(
      await calls(),
      descending.toReversed().toSorted((a, b) => a - b),
    );
    assert.equal(await page.locator('th[aria-sort=ascending]').innerText(), 'Calls');

    await page.getByLabel('Search').fill('owner = $1');
    const query = page.locator('button.query');
    assert.equal(await query.count(), 1);
    await query.focus();
    await page.keyboard.press('Enter');
    await page.getByText('p95 ratio, 95 % confidence').waitFor();
    assert.equal(await query.getAttribute('aria-expanded'), 'true');
    await page.screenshot({ path: join(pictures, 'detail.png'), fullPage: true });
    await page.keyboard.press('Enter');
    assert.equal(await page.locator('tr.detail').count(), 0);

    await page.getByLabel('Search').fill('onerror');
    assert.match(await query.innerText(), /<img src=x onerror=alert\(1\)>/);
    assert.equal(await page.evaluate('window.hacked'), undefined);
    await page.getByLabel('Search').fill('nothing has this');
    await page.getByText('No query contains this.').waitFor();
    assert.deepEqual(problems, []);
    await page.close();
  });

  for (const width of [1280, 390]) {
    for (const scheme of ['light', 'dark'] as const) {
      it(`fits ${width} pixels, ${scheme}`, async () => {
        const { page, problems } = await open(width, scheme);
        await page.locator('#queries tbody tr').first().waitFor();
        const overflow = await page.evaluate('document.documentElement.scrollWidth - innerWidth');
        assert.ok(Number(overflow) <= 0, `${String(overflow)} pixels too wide`);
        await page.screenshot({ path: join(pictures, `${width}-${scheme}.png`) });
        assert.deepEqual(problems, []);
        await page.close();
      });
    }
  }

  it('counts among what fails on the mirror alone what takes too long there', async () => {
    const [mirroring] = mirrored.files.mirroring ?? [];
    await mirrored.pgmirror.reload({ mirroring: [{ ...mirroring!, timeout: 200 }] });
    await mirrored.pgmirror.admin('RESET STATS');
    await withClient(mirrored.mirrorUrl, async (keeper) => {
      await keeper.query('BEGIN; LOCK item');
      await mirrored.query('UPDATE item SET owner = owner WHERE id = 1');
      await mirrored.drained();
    });
    const { page, problems } = await open();
    await page.getByText('1 query failing only there.').waitFor();
    assert.equal(await page.locator('#queries tbody tr.failing').count(), 1);
    assert.deepEqual(problems, []);
    await page.close();
  });

  it('says what a mirror is that is not up, and when pgmirror does not answer', async () => {
    const { page } = await open();
    await page.getByText('up', { exact: true }).waitFor();
    await mirrored.pgmirror.admin('DISABLE MIRROR shadow');
    await page.getByText('Nothing is mirrored until ENABLE MIRROR').waitFor({ timeout: 10_000 });
    await mirrored.pgmirror.stop();
    await page.getByText('pgmirror does not answer').waitFor({ timeout: 10_000 });
    assert.ok((await page.locator('#queries tbody tr').count()) > 0, 'what is known stays');
    await page.close();
  });
});
