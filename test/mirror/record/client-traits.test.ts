import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { ClientTraits } from '../../../src/mirror/record/client-traits.ts';
import type { ClientConditions } from '../../../src/mirror/record/client-traits.ts';
import { ParameterSet } from '../../../src/session/parameter-set.ts';

const NO_SETTINGS = ParameterSet.empty;

function named(name: string): ParameterSet {
  return ParameterSet.empty.with('application_name', name);
}

/** The first 48 bits of a SHA-256 as a share of what there could be: the test vectors of FIPS 180. */
const PLACES = { '': 0xe3b0c44298fc / 2 ** 48, abc: 0xba7816bf8f01 / 2 ** 48 };

describe('what of a client is compared with the exposure', () => {
  it('is a fresh roll, the roll of its connection, or the place of its user or application name', () => {
    const traits = new ClientTraits('abc', 0.25);
    assert.equal(traits.place('none', NO_SETTINGS, 0.75), 0.75);
    assert.equal(traits.place('client', NO_SETTINGS, 0.75), 0.25);
    assert.equal(traits.place('user', NO_SETTINGS, 0.75), PLACES.abc);
    assert.equal(traits.place('application_name', named('abc'), 0.75), PLACES.abc);
    assert.equal(traits.place('application_name', NO_SETTINGS, 0.75), PLACES['']);
  });

  it('is the same for the same name whenever it is asked for, and follows the name', () => {
    const traits = new ClientTraits('anna', 0);
    const places = ['abc', 'abc', '', 'abc'].map((name) => traits.place('application_name', named(name), 0));
    assert.deepEqual(places, [PLACES.abc, PLACES.abc, PLACES[''], PLACES.abc]);
    assert.equal(new ClientTraits('anna', 1).place('user', NO_SETTINGS, 0), traits.place('user', named('x'), 1));
  });

  it('spreads names evenly', () => {
    const places = Array.from({ length: 2_000 }, (_, index) =>
      new ClientTraits(`user${index}`, 0).place('user', NO_SETTINGS, 0),
    );
    assert.ok(places.every((place) => place >= 0 && place < 1));
    const low = places.filter((place) => place < 0.3).length / places.length;
    assert.ok(Math.abs(low - 0.3) < 0.03, String(low));
  });
});

describe('the clients that a mirror takes', () => {
  const all: ClientConditions = { sticky: 'none', users: undefined, applicationNames: undefined };

  it('are all of them, where it names none', () => {
    assert.ok(new ClientTraits('anna', 0).suits(all, NO_SETTINGS));
  });

  it('are those whose user and application name it names', () => {
    const conditions = { ...all, users: new Set(['anna']), applicationNames: new Set(['till', '']) };
    const [anna, bert] = [new ClientTraits('anna', 0), new ClientTraits('bert', 0)];
    assert.deepEqual(
      [named('till'), NO_SETTINGS, named('Till'), named('other')].map((settings) => anna.suits(conditions, settings)),
      [true, true, false, false],
    );
    assert.equal(bert.suits(conditions, named('till')), false);
    assert.equal(bert.suits({ ...conditions, users: new Set() }, named('till')), false);
  });
});
