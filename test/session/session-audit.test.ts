import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { auditQuery, PinReason, readFindings } from '../../src/session/session-audit.ts';

const hex = (text: string): string => Buffer.from(text).toString('hex');

describe('the look at a session', () => {
  it('asks for settings, role and every reason to keep a connection', () => {
    const sql = auditQuery([]);
    assert.match(sql, /pg_settings WHERE source OPERATOR\(pg_catalog\.=\) 'session'/);
    for (const name of [
      'pg_listening_channels',
      'pg_cursors',
      'pg_prepared_statements',
      'pg_my_temp_schema',
      'advisory',
    ]) {
      assert.ok(sql.includes(name), name);
    }
    assert.ok(!sql.includes('ARRAY['));
  });

  it('uses no operator that the session’s search_path could replace', () => {
    const bare = auditQuery(['app.tenant'])
      .replaceAll('OPERATOR(pg_catalog.=)', '')
      .replaceAll(/'[^']*'/g, '');
    assert.doesNotMatch(bare, /[=<>~|]|\b(?:NOT )?(?:IN|LIKE|BETWEEN|DISTINCT)\b/);
  });

  it('asks for the parameters with a dot by name, quoted', () => {
    assert.match(auditQuery(['app.tenant', "o'hara.x"]), /ARRAY\['app\.tenant', 'o''hara\.x'\]/);
  });

  it('finds what differs from a fresh login', () => {
    const { settings, pins } = readFindings(
      [
        ['setting', 'Work_Mem', hex('4MB')],
        ['setting', 'role', hex('bert')],
        ['setting', 'session_authorization', hex('carl')],
        ['setting', 'app.tenant', hex('')],
        ['setting', 'app.never_set', null],
        ['pin', PinReason.Listen, ''],
        ['pin', PinReason.AdvisoryLocks, ''],
      ],
      'anna',
    );
    assert.deepEqual(
      [...settings],
      [
        ['work_mem', '4MB'],
        ['role', 'bert'],
        ['session_authorization', 'carl'],
        ['app.tenant', ''],
      ],
    );
    assert.deepEqual(pins, ['LISTEN', 'advisory locks']);
  });

  it('finds nothing in a session that is as at its login, or in rows that are none', () => {
    const rows = [
      ['setting', 'role', hex('none')],
      ['setting', 'session_authorization', hex('anna')],
      ['setting', null, 'x'],
      [],
    ];
    const { settings, pins } = readFindings(rows, 'anna');
    assert.deepEqual([settings.size, pins], [0, []]);
  });
});
