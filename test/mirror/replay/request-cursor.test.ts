import assert from 'node:assert/strict';
import { it } from 'node:test';

import { RequestFlag } from '../../../src/mirror/record/record-stream.ts';
import { RequestCursor } from '../../../src/mirror/replay/request-cursor.ts';
import { query } from '../../support/bytes.ts';
import { recording } from '../recordings.ts';

it('tells a request that kept the work of its block, from the source’s answer', () => {
  const requests: readonly (readonly [text: string, statuses: string, flags: number, kept: boolean])[] = [
    ['BEGIN', 'IT', 0, false],
    ['ROLLBACK TO a', 'TT', RequestFlag.RollbackTag, false],
    ['INSERT INTO t VALUES (1); COMMIT AND CHAIN', 'TT', RequestFlag.CommitTag, true],
    ['ROLLBACK TO a; COMMIT; BEGIN', 'TT', RequestFlag.CommitTag | RequestFlag.RollbackTag, true],
    [`PREPARE TRANSACTION 'a'`, 'TI', 0, true],
    ['ROLLBACK', 'TI', RequestFlag.RollbackTag, false],
    ['COMMIT', 'TI', RequestFlag.Errored, false],
    ['INSERT INTO t VALUES (1)', 'II', 0, false],
  ];
  const cursor = new RequestCursor();
  cursor.reset(recording(...requests.map(([text, statuses, flags]) => ({ messages: [query(text)], statuses, flags }))));
  for (const [text, , , kept] of requests) {
    assert.ok(cursor.next());
    assert.equal(cursor.kept, kept, text);
  }
});
