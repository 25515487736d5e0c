import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import * as frontend from '../../src/protocol/frontend-messages.ts';
import { Frontend, Target } from '../../src/protocol/message-types.ts';
import * as bytes from '../support/bytes.ts';
import { cstr, int16, int32, msg } from '../support/bytes.ts';

describe('messages as a client sends them', () => {
  const definition = Buffer.concat([cstr('select $1'), int16(1), int32(23)]);
  const cases: readonly (readonly [string, Buffer, Buffer])[] = [
    [
      'StartupMessage',
      frontend.startupMessage({ user: 'anna', database: 'käse' }),
      bytes.startup({ user: 'anna', database: 'käse' }),
    ],
    [
      'StartupMessage of another version',
      frontend.startupMessage({ user: 'anna' }, 0x30002),
      bytes.startup({ user: 'anna' }, 0x30002),
    ],
    [
      'CancelRequest',
      frontend.cancelRequest(-5, Buffer.from([0xff, 0, 1, 2])),
      bytes.cancelRequest(-5, Buffer.from([0xff, 0, 1, 2])),
    ],
    ['PasswordMessage', frontend.passwordMessage('gehüm'), msg('p', cstr('gehüm'))],
    [
      'SASLInitialResponse',
      frontend.saslInitialResponse('SCRAM-SHA-256', 'n,,n=,r=1'),
      msg('p', cstr('SCRAM-SHA-256'), int32(9), Buffer.from('n,,n=,r=1')),
    ],
    ['SASLResponse', frontend.saslResponse('c=biws,r=1'), msg('p', Buffer.from('c=biws,r=1'))],
    ['Query', frontend.query('select 1'), bytes.query('select 1')],
    ['Parse', frontend.parse('s', definition), bytes.parse('s', 'select $1', 23)],
    ['Parse of the unnamed statement', frontend.parse('', definition), bytes.parse('', 'select $1', 23)],
    ['Describe of a statement', frontend.describe(Target.Statement, 's'), bytes.describe('S', 's')],
    ['Describe of a portal', frontend.describe(Target.Portal, ''), bytes.describe('P', '')],
    ['Close of a statement', frontend.close(Target.Statement, 's'), bytes.close('S', 's')],
    ['Close of a portal', frontend.close(Target.Portal, 'p'), bytes.close('P', 'p')],
    ['CopyFail', frontend.copyFail('gone'), msg('f', cstr('gone'))],
    ['Sync', frontend.sync(), bytes.sync],
    ['Flush', frontend.flush(), bytes.flush],
    ['Terminate', frontend.terminate(), bytes.terminate],
  ];
  for (const [name, made, expected] of cases) {
    it(`are built byte by byte as the manual has them: ${name}`, () => assert.deepEqual(made, expected));
  }

  it('have the type bytes of the manual', () => {
    const letters = Object.entries(Frontend).map(([name, type]) => `${String.fromCharCode(type)} ${name}`);
    assert.deepEqual(letters, [
      'B Bind',
      'C Close',
      'd CopyData',
      'c CopyDone',
      'f CopyFail',
      'D Describe',
      'E Execute',
      'H Flush',
      'F FunctionCall',
      'P Parse',
      'p Password',
      'Q Query',
      'S Sync',
      'X Terminate',
    ]);
  });
});
