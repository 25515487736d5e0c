import assert from 'node:assert/strict';
import { it } from 'node:test';
import { Breaker } from '../../../src/mirror/replay/breaker.ts';
import { ConnectRate } from '../../../src/mirror/replay/connect-rate.ts';
import { Fifo } from '../../../src/mirror/replay/fifo.ts';

it('a breaker says once that it opened, probes at growing intervals, and says once that it closed', (test) => {
  test.mock.timers.enable({ apis: ['setTimeout'] });
  const said: string[] = [];
  let probes = 0;
  const breaker = new Breaker({
    probe: () => {
      probes++;
      breaker.fail('again');
    },
    changed: (isOpen, reason) => said.push(`${isOpen} ${reason}`),
  });
  breaker.succeed();
  breaker.fail('refused');
  breaker.fail('refused');
  assert.equal(breaker.isOpen, true);
  const after: number[] = [];
  for (let second = 0; second < 60; second++) {
    test.mock.timers.tick(1000);
    after.push(probes);
  }
  assert.ok((after[0] ?? 0) >= 1, 'soon');
  assert.ok(probes >= 7 && probes <= 14, `${probes} probes in a minute`);
  const inAMinute = probes;
  for (let second = 0; second < 240; second++) test.mock.timers.tick(1000);
  assert.ok(probes - inAMinute >= 18, `${probes - inAMinute} probes in four minutes: it is not forgotten`);
  assert.equal(breaker.reason, 'again');
  breaker.succeed();
  assert.equal(breaker.reason, '');
  const before = probes;
  test.mock.timers.tick(60_000);
  assert.equal(probes, before);
  assert.deepEqual(said, ['true refused', 'false ']);
});

it('a breaker is opened for longer each time, until a connection was good for something', (test) => {
  test.mock.timers.enable({ apis: ['setTimeout'] });
  const breaker = new Breaker({ probe: () => breaker.succeed(), changed: () => undefined });
  const openFor = (): number => {
    breaker.fail('useless');
    let waited = 0;
    for (; breaker.isOpen; waited += 50) test.mock.timers.tick(50);
    return waited;
  };
  const times = Array.from({ length: 8 }, openFor);
  assert.ok((times[0] ?? 0) <= 350 && (times[4] ?? 0) > 2_000 && (times[7] ?? 0) > 7_000, String(times));
  breaker.proved();
  assert.ok(openFor() <= 350);
});

it('many breakers that opened together do not probe together', (test) => {
  test.mock.timers.enable({ apis: ['setTimeout'] });
  const moments = new Set<number>();
  let now = 0;
  const breakers = Array.from({ length: 20 }, () => {
    const breaker = new Breaker({ probe: () => moments.add(now), changed: () => undefined });
    breaker.fail('refused');
    return breaker;
  });
  for (; now <= 400; now++) test.mock.timers.tick(1);
  // A quarter of a second, give or take a quarter of it.
  const [first, last] = [Math.min(...moments), Math.max(...moments)];
  assert.ok(first >= 180 && last <= 320 && last - first > 30, `from ${first} to ${last} ms`);
  for (const breaker of breakers) breaker.stop();
});

it('a breaker keeps no more of a reason than can be read', () => {
  const breaker = new Breaker({ probe: () => undefined, changed: () => undefined });
  breaker.fail('x'.repeat(100_000));
  assert.equal(breaker.reason.length, 300);
  breaker.stop();
});

it('no more than ten connections are opened in any second', () => {
  const rate = new ConnectRate();
  const moments: number[] = [];
  for (let i = 0; i < 35; i++) moments.push(i * 20 + rate.take(i * 20));
  for (let i = 10; i < moments.length; i++) assert.ok((moments[i] ?? 0) - (moments[i - 10] ?? 0) >= 1000);
  assert.equal(rate.take(100_000), 0);
});

it('a fifo gives back what was put in, in order, however it is used', () => {
  const fifo = new Fifo<number>();
  let pushed = 0;
  let taken = 0;
  for (let round = 0; round < 500; round++) {
    for (let i = 0; i < round % 7; i++) fifo.push(pushed++);
    for (let i = 0; i < round % 5; i++) {
      assert.equal(fifo.peek(), taken < pushed ? taken : undefined);
      if (fifo.shift() !== undefined) taken++;
    }
    assert.equal(fifo.length, pushed - taken);
  }
  assert.equal(fifo.drain()[0], taken);
  assert.equal(fifo.length, 0);
  assert.equal(fifo.shift(), undefined);
});
