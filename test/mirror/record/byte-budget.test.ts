import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { ByteBudget } from '../../../src/mirror/record/byte-budget.ts';
import { ClientBytes } from '../../../src/mirror/record/client-bytes.ts';

describe('the bytes recorded and not finished', () => {
  it('are limited for all threads together', () => {
    const cells = new Float64Array(2);
    const [one, two] = [0, 1].map((thread) => new ByteBudget({ cells, thread, limit: 100 })) as [
      ByteBudget,
      ByteBudget,
    ];
    assert.deepEqual([one.take(60, 0), two.take(50, 0), two.take(30, 0), one.take(11, 0)], [true, false, true, false]);
    assert.deepEqual([one.used, two.used], [90, 90]);
    one.giveBack(60);
    assert.deepEqual([one.used, two.take(30, 0)], [30, true]);
    assert.deepEqual([...cells], [0, 60]);
  });

  it('may be lowered below what is recorded: then nothing is taken until enough was given back', () => {
    const budget = new ByteBudget({ cells: new Float64Array(1), thread: 0, limit: 100 });
    budget.take(70, 0);
    budget.limit = 50;
    assert.equal(budget.take(1, 0), false);
    budget.giveBack(40);
    assert.equal(budget.take(10, 0), true);
  });

  it('may be none at all', () => {
    const budget = new ByteBudget({ cells: new Float64Array(1), thread: 0, limit: 0 });
    assert.deepEqual([budget.take(1, 0), budget.take(0, 0), budget.used], [false, true, 0]);
  });

  it('are shared: who comes finds room, and those who want too much come to have much the same', () => {
    const budget = new ByteBudget({ cells: new Float64Array(1), thread: 0, limit: 1_000_000 });
    const clients = Array.from({ length: 4 }, () => ({ bytes: new ClientBytes(budget), held: 0 }));
    const fill = (client: (typeof clients)[number]): void => {
      while (client.bytes.take(100)) client.held += 100;
    };
    for (const client of clients) fill(client);
    const [first, second] = clients;
    assert.equal(first?.held, 750_000);
    assert.equal(second?.held, 187_500);
    // What is finished goes to those who had less.
    for (let round = 0; round < 200; round++) {
      for (const client of clients) {
        const part = Math.floor(client.held / 2_000) * 100;
        client.bytes.handOver(part);
        client.bytes.finished(part);
        client.held -= part;
      }
      for (const client of clients) fill(client);
    }
    const sizes = clients.map(({ held }) => held);
    assert.ok(Math.max(...sizes) < 2 * Math.min(...sizes), String(sizes));
    assert.ok(budget.used > 900_000 && budget.used < 1_000_000, String(budget.used));
  });
});

describe('what a client holds of them', () => {
  it('counts until its last mirror has finished with it', () => {
    const budget = new ByteBudget({ cells: new Float64Array(1), thread: 0, limit: 1_000 });
    const bytes = new ClientBytes(budget);
    assert.ok(bytes.take(300) && bytes.take(400));
    bytes.handOver(400);
    assert.equal(bytes.take(100), false);
    bytes.keep(0);
    assert.equal(budget.used, 400);
    assert.ok(bytes.take(300));
    bytes.finished(400);
    bytes.giveBack(100);
    assert.equal(budget.used, 200);
    bytes.keep(0);
    bytes.giveBack(1);
    assert.equal(budget.used, 0);
  });
});
