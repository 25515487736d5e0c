import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { ProtocolError } from '../../src/protocol/protocol-error.ts';
import { parseStartupPacket, startupPacketLength } from '../../src/protocol/startup-packet.ts';
import { cancelRequest, cstr, int32, sslRequest, startup, untyped } from '../support/bytes.ts';

const ZERO = Buffer.from([0]);
const VERSION = int32(0x30000);

describe('the length of a startup packet', () => {
  it('is not known before its four bytes are there', () => {
    for (let have = 0; have < 4; have++) assert.equal(startupPacketLength(sslRequest.subarray(0, have)), undefined);
    assert.equal(startupPacketLength(sslRequest.subarray(0, 4)), 8);
  });

  it('counts itself', () => {
    const packet = startup({ user: 'anna' });
    assert.equal(startupPacketLength(packet), packet.length);
  });

  // ProcessStartupPacket: what is behind the length word is 4 to MAX_STARTUP_PACKET_LENGTH (10 000) bytes long.
  for (const length of [8, 9, 10_000, 10_004]) {
    it(`may be ${length}`, () => assert.equal(startupPacketLength(int32(length)), length));
  }
  for (const length of [0, 4, 7, 10_005, 0x7fff_ffff, -1]) {
    it(`cannot be ${length}`, () => {
      assert.throws(() => startupPacketLength(int32(length)), new ProtocolError('invalid length of startup packet'));
    });
  }

  it('cannot be what the first bytes of an HTTP request or a TLS handshake make of it', () => {
    assert.throws(() => startupPacketLength(Buffer.from('GET / HTTP/1.1\r\n')), ProtocolError);
    assert.throws(() => startupPacketLength(Buffer.from([0x16, 3, 1, 2, 0, 1])), ProtocolError);
  });
});

describe('a startup packet', () => {
  it('is an SSLRequest, a GSSENCRequest or a CancelRequest by its code', () => {
    assert.deepEqual(parseStartupPacket(sslRequest), { kind: 'ssl' });
    assert.deepEqual(parseStartupPacket(untyped(int32(80877104))), { kind: 'gssenc' });
    const secretKey = '\x01\xff\0\x04';
    assert.deepEqual(parseStartupPacket(cancelRequest(4711, Buffer.from(secretKey, 'latin1'))), {
      kind: 'cancel',
      processId: 4711,
      secretKey,
    });
  });

  it('may cancel with a key of 256 bytes, as protocol 3.2 has it, and none that is longer', () => {
    const packet = parseStartupPacket(cancelRequest(-1, Buffer.alloc(256, 7)));
    assert.deepEqual(packet, { kind: 'cancel', processId: -1, secretKey: '\x07'.repeat(256) });
    assert.throws(() => parseStartupPacket(cancelRequest(1, Buffer.alloc(257))), ProtocolError);
    assert.throws(() => parseStartupPacket(cancelRequest(1, Buffer.alloc(0))), ProtocolError);
  });

  it('holds parameters by name, whose values may be empty', () => {
    const packet = parseStartupPacket(startup({ user: 'anna', database: 'käse', options: '' }));
    assert.ok(packet.kind === 'startup');
    assert.equal(packet.version, 0x30000);
    assert.deepEqual(
      [...packet.parameters],
      [
        ['user', 'anna'],
        ['database', 'käse'],
        ['options', ''],
      ],
    );
  });

  it('may have no parameters at all', () => {
    const packet = parseStartupPacket(untyped(VERSION, ZERO));
    assert.ok(packet.kind === 'startup');
    assert.equal(packet.parameters.size, 0);
  });

  it('may ask for a minor version that nobody speaks yet', () => {
    const packet = parseStartupPacket(startup({ user: 'anna' }, 0x3_0009));
    assert.ok(packet.kind === 'startup');
    assert.equal(packet.version, 0x3_0009);
  });

  const malformed: readonly (readonly [string, Buffer])[] = [
    ['has no byte behind its version', untyped(VERSION)],
    ['lacks its closing zero byte', untyped(VERSION, cstr('user'), cstr('anna'))],
    ['has a name without a value', untyped(VERSION, cstr('user'), ZERO)],
    ['has a name that does not end', untyped(VERSION, Buffer.from('user'))],
    ['has a value that does not end', untyped(VERSION, cstr('user'), Buffer.from('anna'))],
    ['has more bytes behind its closing zero byte', untyped(VERSION, cstr('user'), cstr('anna'), ZERO, ZERO)],
  ];
  for (const [what, packet] of malformed) {
    it(`is refused where it ${what}`, () => {
      assert.throws(
        () => parseStartupPacket(packet),
        new ProtocolError('invalid startup packet layout: expected terminator as last byte'),
      );
    });
  }

  it('is refused where it is of another protocol, with the words of PostgreSQL', () => {
    for (const [version, shown] of [
      [0x20000, '2.0'],
      [0x40001, '4.1'],
      [0, '0.0'],
    ] as const) {
      assert.throws(
        () => parseStartupPacket(startup({ user: 'anna' }, version)),
        new ProtocolError(`unsupported frontend protocol ${shown}: server supports 3.0 to 3.2`, '0A000'),
      );
    }
  });
});
