import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { twoPhaseIn, twoPhaseOf } from '../../../src/mirror/record/two-phase.ts';
import { parse, query } from '../../support/bytes.ts';

const texts: Readonly<Record<string, ReturnType<typeof twoPhaseIn>>> = {
  "PREPARE TRANSACTION 'a'": { ends: false, gid: 'a' },
  "prepare /* so */ transaction 'it''s'": { ends: false, gid: "it's" },
  "COMMIT PREPARED 'a b'": { ends: true, gid: 'a b' },
  ' \n-- end\n ROLLBACK PREPARED $$a$$;': { ends: true, gid: 'a' },
  "/* end */ commit prepared E'a'": { ends: true, gid: 'a' },
  "PREPARE p AS SELECT 'transaction'": undefined,
  "SELECT 'PREPARE TRANSACTION'": undefined,
  COMMIT: undefined,
  'ROLLBACK TO prepared': undefined,
};

describe('A half of a two-phase commit', () => {
  for (const [text, half] of Object.entries(texts)) {
    it(`is ${half === undefined ? 'not ' : ''}in ${JSON.stringify(text)}`, () => {
      assert.deepEqual(twoPhaseIn(text), half);
      for (const message of [query(text), parse('name', text)]) {
        assert.deepEqual(twoPhaseOf(message, 0, message.length), half);
      }
    });
  }

  it('is found among other statements, and has a name in any letters', () => {
    assert.deepEqual(twoPhaseIn("INSERT INTO t VALUES (1); PREPARE TRANSACTION 'a'; SELECT 1"), {
      ends: false,
      gid: 'a',
    });
    const message = query("COMMIT PREPARED 'größe'");
    assert.deepEqual(twoPhaseOf(message, 0, message.length), { ends: true, gid: 'größe' });
  });

  it('is not looked for in other messages, nor in long ones', () => {
    const long = query(`COMMIT PREPARED 'a' --${'x'.repeat(2_000)}`);
    assert.equal(twoPhaseOf(long, 0, long.length), undefined);
    const data = Buffer.from(query("COMMIT PREPARED 'a'"));
    data[0] = 0x64;
    assert.equal(twoPhaseOf(data, 0, data.length), undefined);
  });
});
