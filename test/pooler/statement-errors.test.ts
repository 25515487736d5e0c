import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { readParameterStatus } from '../../src/pooler/parameter-status.ts';
import { stalePlanError, withClientName } from '../../src/pooler/statement-errors.ts';
import { cstr, errorResponse, msg, parameterStatus } from '../support/bytes.ts';

describe('an error that names a statement', () => {
  /** The error as the client gets it. */
  function told(text: string, clientName: string): Buffer {
    return withClientName(errorResponse('42P05', text), 'pm_1', clientName);
  }

  it('has the name that the client gave', () => {
    assert.deepEqual(
      told('prepared statement "pm_1" already exists', 'mine'),
      errorResponse('42P05', 'prepared statement "mine" already exists'),
    );
  });

  it('may be longer or shorter by it, and has it wherever it stands', () => {
    assert.deepEqual(told('"pm_1" is not "pm_1"', ''), errorResponse('42P05', '"" is not ""'));
    assert.deepEqual(told('pm_1', 'x'.repeat(1_000)), errorResponse('42P05', 'x'.repeat(1_000)));
  });

  it('has a name with any characters as it is', () => {
    for (const name of ['$$', '$&', "$'", '$`', '$1', 'a\\b', '"']) {
      assert.deepEqual(
        told('prepared statement "pm_1"', name),
        errorResponse('42P05', `prepared statement "${name}"`),
        name,
      );
    }
  });

  it('has the bytes of a name that is no ASCII', () => {
    const name = 'größe';
    const latin1 = Buffer.from(name).toString('latin1');
    assert.deepEqual(told('prepared statement "pm_1"', latin1), errorResponse('42P05', `prepared statement "${name}"`));
  });

  it('is passed on as it is where it names no statement', () => {
    const message = errorResponse('42P01', 'relation "größe" does not exist');
    assert.equal(withClientName(message, 'pm_1', 'mine'), message);
  });
});

describe('the error for a stale plan', () => {
  it('is that of PostgreSQL, in the severity word of the server', () => {
    const fields = [
      'SFEHLER',
      'VERROR',
      'C0A000',
      'Mcached plan must not change result type',
      'Fplancache.c',
      'RRevalidateCachedQuery',
    ];
    assert.deepEqual(stalePlanError('FEHLER'), msg('E', ...fields.map(cstr), Buffer.from([0])));
  });
});

describe('a ParameterStatus', () => {
  it('is read where it lies', () => {
    const message = parameterStatus('TimeZone', 'Zürich');
    const bytes = Buffer.concat([Buffer.from('before'), message, Buffer.from('behind\0')]);
    assert.deepEqual(readParameterStatus(bytes, 6, 6 + message.length), { name: 'TimeZone', value: 'Zürich' });
  });

  it('without two strings is refused, whatever follows it', () => {
    for (const message of [
      msg('S'),
      msg('S', Buffer.from('a')),
      msg('S', cstr('a')),
      msg('S', cstr('a'), Buffer.from('b')),
    ]) {
      assert.throws(
        () => readParameterStatus(Buffer.concat([message, cstr('x'), cstr('y')]), 0, message.length),
        RangeError,
      );
    }
  });
});
