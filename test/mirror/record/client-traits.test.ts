import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { ClientTraits, placeOf } from '../../../src/mirror/record/client-traits.ts';
import { ParameterSet } from '../../../src/session/parameter-set.ts';
import { Generator } from '../../e2e/fidelity/generator.ts';
import { RecordingBench, route } from './recording-bench.ts';

const settings = (name: string): ParameterSet => new ParameterSet(new Map([['application_name', name]]));
const everybody = { sticky: 'none', users: undefined, applicationNames: undefined } as const;

describe('Which transactions a mirror takes', () => {
  it('is a share of them, to within three sigma in a million rolls, however small', async (t) => {
    const random = new Generator(42);
    const bench = await RecordingBench.start(t, { connected: false });
    const { recorder } = bench.client();
    for (const exposure of [0.001, 0.01, 0.3, 0.999]) {
      const mirror = route({ exposure });
      const rolls = 1_000_000;
      let taken = 0;
      for (let roll = 0; roll < rolls; roll++) {
        if (bench.desk.choose(mirror, recorder, random.next()) < 0) taken++;
      }
      const sigma = Math.sqrt(rolls * exposure * (1 - exposure));
      assert.ok(Math.abs(taken - rolls * exposure) <= 3 * sigma, `${taken} at ${exposure}`);
    }
  });

  it('with a roll for each connection is all of one or nothing', () => {
    const places = [0.1, 0.7].map((roll) => {
      const traits = new ClientTraits('alice', roll);
      return [0.5, 0.2, 0.9].map((fresh) => traits.place('client', settings('shop'), fresh));
    });
    assert.deepEqual(places, [
      [0.1, 0.1, 0.1],
      [0.7, 0.7, 0.7],
    ]);
  });

  it('by a name is the same everywhere: these places are for ever', () => {
    assert.equal(placeOf('alice'), 0x2bd806c97f0e / 2 ** 48); // sha256('alice') begins 2bd806c97f0e
    const here = new ClientTraits('alice', 0.3).place('user', settings('x'), 0.1);
    const there = new ClientTraits('alice', 0.9).place('user', settings('y'), 0.8);
    assert.equal(here, there);
    assert.equal(here, placeOf('alice'));
    const shop = new ClientTraits('bob', 0.9);
    assert.equal(shop.place('application_name', settings('shop'), 0), placeOf('shop'));
    assert.equal(shop.place('application_name', settings('jobs'), 0), placeOf('jobs'));
  });

  it('by a name spreads evenly, and a higher exposure only adds names', async (t) => {
    const bench = await RecordingBench.start(t, { connected: false });
    const names = Array.from({ length: 10_000 }, (_, index) => `user ${index}`);
    const recorders = names.map((name) => bench.client(name).recorder);
    const at = (exposure: number): Set<string> => {
      const mirror = route({ exposure, sticky: 'user' });
      return new Set(names.filter((_, index) => bench.desk.choose(mirror, recorders[index]!, 0.99) < 0));
    };
    const [few, more, half] = [at(0.01), at(0.1), at(0.5)];
    for (const [exposure, taken] of [
      [0.01, few],
      [0.1, more],
      [0.5, half],
    ] as const) {
      const sigma = Math.sqrt(names.length * exposure * (1 - exposure));
      assert.ok(Math.abs(taken.size - names.length * exposure) <= 3 * sigma);
    }
    assert.ok([...few].every((name) => more.has(name)) && [...more].every((name) => half.has(name)));
    assert.equal(at(1).size, names.length);
    assert.equal(at(0).size, 0);
  });

  it('may depend on user and application name, both', () => {
    const alice = new ClientTraits('alice', 0);
    assert.ok(alice.suits(everybody, settings('shop')));
    assert.ok(alice.suits({ ...everybody, users: new Set(['alice']) }, settings('shop')));
    assert.ok(!alice.suits({ ...everybody, users: new Set(['bob']) }, settings('shop')));
    assert.ok(!alice.suits({ ...everybody, users: new Set() }, settings('shop')));
    const both = { ...everybody, users: new Set(['alice']), applicationNames: new Set(['shop']) };
    assert.ok(alice.suits(both, settings('shop')));
    assert.ok(!alice.suits(both, settings('jobs')));
    assert.ok(!alice.suits(both, new ParameterSet(new Map())));
  });
});
