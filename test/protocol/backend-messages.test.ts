import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import * as backend from '../../src/protocol/backend-messages.ts';
import * as bytes from '../support/bytes.ts';
import { cstr, int16, int32, msg } from '../support/bytes.ts';

const ZERO = Buffer.from([0]);

describe('messages as a server sends them', () => {
  const cases: readonly (readonly [string, Buffer, Buffer])[] = [
    ['AuthenticationOk', backend.authenticationOk(), msg('R', int32(0))],
    ['AuthenticationCleartextPassword', backend.authenticationCleartextPassword(), msg('R', int32(3))],
    [
      'AuthenticationMD5Password',
      backend.authenticationMd5Password(Buffer.from([9, 8, 7, 6])),
      msg('R', int32(5), Buffer.from([9, 8, 7, 6])),
    ],
    [
      'AuthenticationSASL',
      backend.authenticationSasl(['SCRAM-SHA-256-PLUS', 'SCRAM-SHA-256']),
      msg('R', int32(10), cstr('SCRAM-SHA-256-PLUS'), cstr('SCRAM-SHA-256'), ZERO),
    ],
    ['AuthenticationSASLContinue', backend.authenticationSaslContinue('r=1'), msg('R', int32(11), Buffer.from('r=1'))],
    ['AuthenticationSASLFinal', backend.authenticationSaslFinal('v=1'), msg('R', int32(12), Buffer.from('v=1'))],
    [
      'BackendKeyData',
      backend.backendKeyData(-2, Buffer.from([1, 2, 3, 4])),
      bytes.backendKeyData(-2, Buffer.from([1, 2, 3, 4])),
    ],
    ['ParameterStatus', backend.parameterStatus('TimeZone', 'Zürich'), bytes.parameterStatus('TimeZone', 'Zürich')],
    [
      'NegotiateProtocolVersion',
      backend.negotiateProtocolVersion(0x30000, ['_pq_.a', '_pq_.b']),
      msg('v', int32(0x30000), int32(2), cstr('_pq_.a'), cstr('_pq_.b')),
    ],
    ['ReadyForQuery', backend.readyForQuery(0x54), bytes.readyForQuery('T')],
    ['CommandComplete', backend.commandComplete('INSERT 0 1'), bytes.commandComplete('INSERT 0 1')],
    ['EmptyQueryResponse', backend.emptyQueryResponse(), msg('I')],
    ['ParseComplete', backend.parseComplete(), msg('1')],
    ['BindComplete', backend.bindComplete(), msg('2')],
    ['CloseComplete', backend.closeComplete(), msg('3')],
    ['NoData', backend.noData(), msg('n')],
    ['ParameterDescription', backend.parameterDescription([23, 25]), msg('t', int16(2), int32(23), int32(25))],
    [
      'RowDescription',
      backend.rowDescription([
        { name: 'id', typeOid: 20, typeSize: 8 },
        { name: 'größe', typeOid: 25, typeSize: -1 },
      ]),
      msg(
        'T',
        int16(2),
        ...[cstr('id'), int32(0), int16(0), int32(20), int16(8), int32(-1), int16(0)],
        ...[cstr('größe'), int32(0), int16(0), int32(25), int16(-1), int32(-1), int16(0)],
      ),
    ],
    ['RowDescription without columns', backend.rowDescription([]), msg('T', int16(0))],
    ['DataRow', backend.dataRow(['a', null, '', 'ü']), bytes.dataRow('a', null, '', 'ü')],
    ['a DataRow that is long', backend.dataRow(['x'.repeat(100_000)]), bytes.dataRow('x'.repeat(100_000))],
    [
      'ErrorResponse',
      backend.errorResponse({ severity: 'ERROR', code: '42601', message: 'no', detail: 'why', hint: 'try' }),
      msg('E', ...['SERROR', 'VERROR', 'C42601', 'Mno', 'Dwhy', 'Htry'].map(cstr), ZERO),
    ],
    [
      'ErrorResponse with no more than it needs',
      backend.errorResponse({ severity: 'FATAL', code: '08P01', message: 'no' }),
      msg('E', ...['SFATAL', 'VFATAL', 'C08P01', 'Mno'].map(cstr), ZERO),
    ],
    [
      'NoticeResponse',
      backend.noticeResponse({ severity: 'NOTICE', code: '00000', message: 'by the way' }),
      msg('N', ...['SNOTICE', 'VNOTICE', 'C00000', 'Mby the way'].map(cstr), ZERO),
    ],
  ];
  for (const [name, made, expected] of cases) {
    it(`are built byte by byte as the manual has them: ${name}`, () => assert.deepEqual(made, expected));
  }

  it('end a text at a zero byte, which the protocol cannot carry', () => {
    assert.deepEqual(backend.parameterStatus('a\0b', 'c\0d'), bytes.parameterStatus('a', 'c'));
  });
});

describe('the fields of an ErrorResponse', () => {
  it('are found by their letters', () => {
    const message = msg('E', ...['SFEHLER', 'VERROR', 'C23505', 'Mdoppelt', 'DKey (id)=(1)', 'Hno'].map(cstr), ZERO);
    assert.deepEqual(backend.parseErrorFields(message), {
      severity: 'ERROR',
      code: '23505',
      message: 'doppelt',
      detail: 'Key (id)=(1)',
      hint: 'no',
    });
    assert.equal(backend.errorFieldMap(message).get('S'), 'FEHLER');
  });

  it('take the localized severity of a server that knows no other', () => {
    assert.equal(backend.parseErrorFields(msg('E', cstr('SFATAL'), ZERO)).severity, 'FATAL');
  });

  const nothing = {
    severity: 'ERROR',
    code: 'XX000',
    message: 'missing error text',
    detail: undefined,
    hint: undefined,
  };
  const malformed: readonly (readonly [string, Buffer])[] = [
    ['is empty', msg('E')],
    ['has the terminator alone', msg('E', ZERO)],
    ['has a field that does not end', msg('E', Buffer.from('Mno'))],
    ['has a field letter alone', msg('E', Buffer.from('M'))],
  ];
  for (const [what, message] of malformed) {
    it(`get the words for "unknown" where the message ${what}`, () => {
      assert.deepEqual(backend.parseErrorFields(message), nothing);
    });
  }

  it('that stand before a broken one are kept', () => {
    assert.equal(backend.parseErrorFields(msg('E', cstr('C42601'), Buffer.from('Mbroken'))).code, '42601');
  });
});

describe('the SQLSTATE of an ErrorResponse', () => {
  /** As it is found with other bytes around the message. */
  function found(message: Buffer): string {
    const around = Buffer.concat([msg('C', cstr('before')), message, msg('E', cstr('C99999'), ZERO)]);
    const start = msg('C', cstr('before')).length;
    return backend.sqlstateOf(around, start, start + message.length);
  }

  it('is found wherever the field stands', () => {
    assert.equal(found(bytes.errorResponse('23505', 'duplicate')), '23505');
    assert.equal(found(msg('E', cstr('MC is the letter'), cstr('C40001'), ZERO)), '40001');
  });

  it('is XX000 where the message has none, whatever follows the message', () => {
    for (const message of [
      msg('E'),
      msg('E', ZERO),
      msg('E', cstr('Mno'), ZERO),
      msg('E', Buffer.from('C23505')),
      // With the byte behind it, it would have the length of one.
      msg('E', Buffer.from('C2350')),
      msg('E', cstr('C235'), ZERO),
      msg('E', cstr('C2350555'), ZERO),
      msg('E', Buffer.from('Mno end')),
    ]) {
      assert.equal(found(message), 'XX000');
    }
  });
});
