import assert from 'node:assert/strict';
import { it } from 'node:test';
import { AcknowledgementReader, AcknowledgementWriter } from '../../../src/mirror/record/acknowledgement-stream.ts';
import { DropReason, Outcome, RecordStreamError, TargetState } from '../../../src/mirror/record/record-stream.ts';

const BYTES = Buffer.concat([
  Buffer.from([16, 0, 0, 0, 64, 5, 0, 0, 0, 2, 1, 0, 0, 1, 0, 0]),
  Buffer.from([26, 0, 0, 0, 64, 6, 0, 0, 0, 2, 0, 0, 0, 2, 0, 2]),
  Buffer.from('42P0125P02'),
  Buffer.from([16, 0, 0, 0, 64, 7, 0, 0, 0, 2, 0, 0, 0, 4, 6, 0]),
  Buffer.from([10, 0, 0, 0, 65, 2, 0, 0, 0, 2]),
]);
const TOLD = [
  [5, 258, Outcome.Replayed, 0, []],
  [6, 2, Outcome.Failed, 0, ['42P01', '25P02']],
  [7, 2, Outcome.Dropped, DropReason.Lag, []],
  [2, TargetState.Down],
];

function collect(): { told: unknown[]; reader: AcknowledgementReader } {
  const told: unknown[] = [];
  const reader = new AcknowledgementReader({
    acknowledged: (...values) => told.push(values),
    targetState: (...values) => told.push(values),
  });
  return { told, reader };
}

it('acknowledgements are written as documented', () => {
  const writer = new AcknowledgementWriter();
  writer.acknowledge(5, 258, Outcome.Replayed, 0, []);
  writer.acknowledge(6, 2, Outcome.Failed, 0, ['42P01', '25P02']);
  writer.acknowledge(7, 2, Outcome.Dropped, DropReason.Lag, []);
  writer.targetState(2, TargetState.Down);
  assert.equal(writer.take().toString('hex'), BYTES.toString('hex'));
  assert.equal(writer.length, 0);
});

it('acknowledgements are read whole and byte by byte', () => {
  const whole = collect();
  whole.reader.push(BYTES);
  assert.deepEqual(whole.told, TOLD);
  const slow = collect();
  for (const byte of BYTES) slow.reader.push(Buffer.from([byte]));
  assert.deepEqual(slow.told, TOLD);
});

it('more SQLSTATEs than can be counted are cut, and a batch grows as it must', () => {
  const writer = new AcknowledgementWriter();
  for (let i = 0; i < 10; i++)
    writer.acknowledge(
      i,
      1,
      Outcome.Failed,
      0,
      Array.from({ length: 300 }, () => '23505'),
    );
  const { told, reader } = collect();
  reader.push(writer.take());
  assert.equal(told.length, 10);
  assert.deepEqual(told[9], [9, 1, Outcome.Failed, 0, Array.from({ length: 255 }, () => '23505')]);
});

for (const [name, bytes] of Object.entries({
  'an unknown type': Buffer.from([5, 0, 0, 0, 8]),
  'an acknowledgement cut short': Buffer.from([15, 0, 0, 0, 64, 5, 0, 0, 0, 2, 1, 0, 0, 1, 0]),
  'an outcome that is none': Buffer.from([16, 0, 0, 0, 64, 5, 0, 0, 0, 2, 1, 0, 0, 9, 0, 0]),
  'a reason that is none': Buffer.from([16, 0, 0, 0, 64, 5, 0, 0, 0, 2, 1, 0, 0, 4, 99, 0]),
  'a state that is none': Buffer.from([10, 0, 0, 0, 65, 2, 0, 0, 0, 0]),
})) {
  it(`acknowledgements: ${name} is refused`, () =>
    assert.throws(() => collect().reader.push(bytes), RecordStreamError));
}
