import assert from 'node:assert/strict';
import { it } from 'node:test';
import { isCommitTag } from '../../../src/mirror/record/commit-tag.ts';
import { cstr, msg } from '../../support/bytes.ts';

it('the tags that tell of work that is there to stay are those of COMMIT and of two-phase commits', () => {
  const tells = (tag: string): boolean => {
    const message = msg('C', cstr(tag));
    const bytes = Buffer.concat([Buffer.from('before'), message, Buffer.from('behind')]);
    return isCommitTag(bytes, 6, 6 + message.length);
  };
  const lasting = ['COMMIT', 'COMMIT PREPARED', 'ROLLBACK PREPARED', 'PREPARE TRANSACTION'];
  const others =
    'BEGIN,ROLLBACK,PREPARE,SELECT,COPY 1,CREATE,INSERT 0 1,CREATE SEQUENCE,CREATE FUNCTION,CREATE TEXT SEARCH,' +
    'REFRESH MATERIALIZED VIEW,CREATE ROUTINE,ALTER TABLESPACE,CREATE EVENT TRIGGER,CLUSTER,CREATE ACCESS METHOD,' +
    'DROP OPERATOR FAMILY,REASSIGN OWNED,CREATE STATISTICS,CREATE PUBLICATION,ROLLBACK TO';
  assert.deepEqual([...lasting, ...others.split(',')].filter(tells), lasting);
});
