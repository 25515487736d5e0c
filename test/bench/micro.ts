import { Bench } from 'tinybench';
import { RequestReader } from '../../src/pooler/request-reader.ts';
import { OutputAssembly } from '../../src/pooler/output-assembly.ts';
import { stateTag } from '../../src/pooler/state-tag.ts';
import { AnswerQueue, Owed } from '../../src/session/answer-queue.ts';
import { touchesOf } from '../../src/session/state-touches.ts';
import { bind, cstr, execute, msg, sync } from '../support/bytes.ts';

/**
 * What the relay does for each message, one thing at a time, in nanoseconds. Not a test: it decides nothing. Run with
 * `npm run bench:micro`.
 */

const query = msg('Q', cstr('SELECT abalance FROM pgbench_accounts WHERE aid = 48213;'));
const prepared = Buffer.concat([bind('', 'P_0'), execute(''), sync]);
const commandComplete = msg('C', cstr('SELECT 1'));
const poolName = Buffer.from('pgmirror_0a1b2c3d_1_17\0');

const reader = new RequestReader(
  { message: () => true, longMessage: () => undefined, piece: () => undefined, violation: () => undefined },
  { maxMessageSize: 1 << 30 },
);
const assembly = new OutputAssembly();
const queue = new AnswerQueue();
const bindLength = bind('', 'P_0').length;

const bench = new Bench({ time: 500 });
bench.add('frame a simple query', () => reader.push(query));
bench.add('frame Bind, Execute, Sync', () => reader.push(prepared));
bench.add('rename the statement of a Bind', () => {
  assembly.appendRenamed(prepared, 0, bindLength, bindLength, 6, 10, poolName);
  assembly.append(prepared, bindLength, prepared.length);
  assembly.take();
});
bench.add('owe and settle Bind, Execute, Sync', () => {
  queue.push(Owed.Bind);
  queue.push(Owed.Execute);
  queue.push(Owed.Sync);
  queue.shift();
  queue.shift();
  queue.shift();
});
bench.add('look for what a text touches', () => touchesOf(query, 5, query.length));
bench.add('look at a command tag', () => stateTag(commandComplete, 0));

await bench.run();
console.table(
  bench.tasks.map(({ name, result }) => ({
    what: name,
    nanoseconds: 'latency' in result ? Math.round(result.latency.p50 * 1e6) : NaN,
  })),
);
