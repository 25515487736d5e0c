import assert from 'node:assert/strict';
import { it } from 'node:test';
import { pino } from 'pino';
import { MirrorProcess } from '../../../src/mirror/replay/mirror-process-core.ts';
import type { ToMirrorProcess } from '../../../src/mirror/replay/mirror-process-messages.ts';
import { MirrorTarget } from '../../../src/mirror/replay/mirror-target.ts';
import type { MirroredTransaction } from '../../../src/mirror/replay/mirrored-transaction.ts';
import { FRESH_LOGIN } from '../../../src/mirror/replay/session-settings.ts';
import { StatementEpoch } from '../../../src/mirror/replay/declared-statements.ts';
import { QueryIdentifier } from '../../../src/mirror/report/query-identifier.ts';
import { TrafficReport } from '../../../src/mirror/report/traffic-report.ts';
import type { ServerSocket } from '../../../src/net/server-socket.ts';
import { ServerLoginError } from '../../../src/pool/connect-server.ts';
import type { LoggedInServer } from '../../../src/pool/connect-server.ts';
import { monotonicNow } from '../../../src/util/clock.ts';
import { query } from '../../support/bytes.ts';
import { inReverse, type Cleanup } from '../../support/cleanup.ts';
import { eventually } from '../../support/eventually.ts';
import { recording } from '../recordings.ts';
import { targetConfig } from './mirror-child.ts';

let nextClient = 1;
const nowhere = { host: '127.0.0.1', port: 1, user: 'app', password: '' };

function transaction(): MirroredTransaction {
  const header = { slot: 1, client: 1, settings: 0, unnamedStatement: 0, flags: 1, startedAt: 0, requestCount: 1 };
  return {
    origin: { statements: () => undefined, acknowledge: () => undefined },
    recorded: {
      ...header,
      endedAt: monotonicNow(),
      targets: [1],
      recording: recording({ messages: [query('SELECT 1')] }),
    },
    epoch: new StatementEpoch(),
    settings: FRESH_LOGIN,
    unnamed: undefined,
    treatments: undefined,
    configures: false,
    locks: false,
    twoPhase: undefined,
  };
}

/** A login to a server that says nothing more. */
function silent(): LoggedInServer {
  const nothing = (): boolean => true;
  const socket = { handler: undefined, write: nothing, end: nothing, destroy: nothing } as unknown as ServerSocket;
  return { socket, parameters: new Map(), processId: 0, secretKey: Buffer.alloc(0) };
}

/** A mirror that has been looked at, and is connected to like this. */
async function lookedAt(
  test: Cleanup,
  options: {
    readonly poolSize: number;
    readonly connect: () => Promise<LoggedInServer>;
    readonly stateChanged?: (state: MirrorTarget['state']) => void;
  },
): Promise<MirrorTarget> {
  const { poolSize, connect, stateChanged = () => undefined } = options;
  const target: MirrorTarget = new MirrorTarget(targetConfig(nowhere, 'app', { poolSize }), {
    connect,
    objectionsTo: async () => Promise.resolve([]),
    askSource: async () => Promise.resolve([]),
    stateChanged: () => stateChanged(target.state),
    requestAnswered: () => undefined,
    predecessorOf: () => undefined,
    preparedSettled: () => undefined,
  });
  test.after(() => target.destroy());
  await target.look();
  return target;
}

/** Has it take a transaction of a client that it has not met. */
function accept(target: MirrorTarget): void {
  const lane = target.laneFor('someone', `${nextClient++}`);
  assert.ok(lane !== undefined);
  target.accept(transaction(), lane, 0);
}

it('a mirror that has no more connections to give is up as long as there are some', async (t) => {
  const refusal = new ServerLoginError('sorry, too many clients already', { code: '53300' });
  const attempts: (LoggedInServer | Error)[] = [silent(), new Error('no route to the host')];
  const states: string[] = [];
  const target = await lookedAt(inReverse(t), {
    poolSize: 2,
    connect: async () => {
      const attempt = attempts.shift() ?? refusal;
      return attempt instanceof Error ? Promise.reject(attempt) : Promise.resolve(attempt);
    },
    stateChanged: (state) => states.push(state),
  });
  for (let client = 0; client < 2; client++) accept(target);
  await eventually(() => states.length === 3);
  assert.deepEqual(states, ['up', 'down', 'up']);
});

it('a mirror that has no more connections to give is asked again, though nobody else comes', async (t) => {
  let asked = 0;
  const target = await lookedAt(inReverse(t), {
    poolSize: 2,
    connect: async () => {
      asked++;
      const refusal = new ServerLoginError('sorry, too many clients already', { code: '53300' });
      return asked === 1 ? Promise.resolve(silent()) : Promise.reject(refusal);
    },
  });
  for (let client = 0; client < 2; client++) {
    accept(target);
    await assertOpened(() => asked, client + 1);
  }
  target.sweep(monotonicNow());
  await assertOpened(() => asked, 2);
  for (let seconds = 2; seconds < 5; seconds++) {
    target.sweep(monotonicNow() + seconds * 1_000);
    await assertOpened(() => asked, 1 + seconds);
  }
});

it('connections are opened to a mirror at a bounded rate, however many clients come at once', async (t) => {
  let opened = 0;
  const target = await lookedAt(inReverse(t), {
    poolSize: 24,
    connect: async () => {
      opened++;
      return Promise.resolve(silent());
    },
  });
  t.mock.timers.enable({ apis: ['setTimeout'] });
  for (let client = 0; client < 24; client++) accept(target);
  // No timer fires: what is opened now is what may be opened at once.
  await assertOpened(() => opened, 10);
  t.mock.timers.tick(1_100);
  await assertOpened(() => opened, 20);
  t.mock.timers.tick(1_100);
  await assertOpened(() => opened, 24);
});

/** Passes when so many were opened, and no more although there was time to. */
async function assertOpened(opened: () => number, expected: number): Promise<void> {
  for (let turn = 0; turn < 50; turn++) await new Promise((resolve) => setImmediate(resolve));
  assert.equal(opened(), expected);
}

it('a mirror that comes and goes says so a few times, and not each time', async (t) => {
  const test = inReverse(t);
  const lines: string[] = [];
  const logger = pino({}, { write: (line) => void lines.push(line) });
  let configured = 0;
  const mirrors = new MirrorProcess({
    connect: async () => Promise.reject(new Error('nobody is there')),
    logger,
    report: new TrafficReport(await QueryIdentifier.load(), logger),
    tell: ({ type }) => void (configured += type === 'configured' ? 1 : 0),
  });
  test.after(() => mirrors.close());
  const source = { source: 'app', address: { host: '127.0.0.1', port: 1 }, database: 'app', user: 'app', password: '' };
  for (let round = 1; round <= 40; round++) {
    const targets = [targetConfig(nowhere, 'app', { fallback: undefined, enabled: round % 2 === 1 })];
    const message = { type: 'configure', epoch: round, targets, instance: '', look: false, prepared: [] } as const;
    mirrors.message({ ...message, sourceLogins: [source] });
    await eventually(() => configured === round, { intervalMs: 1 });
    assert.equal(mirrors.targets.get(1)?.state, round % 2 === 1 ? 'up' : 'disabled');
  }
  assert.ok(lines.length >= 2 && lines.length <= 6, lines.join(''));
});

it('a mirror whose source is another database now is not used before it was looked at', async (t) => {
  const test = inReverse(t);
  const logger = pino({ level: 'silent' });
  const report = new TrafficReport(await QueryIdentifier.load(), logger);
  let configured = 0;
  const mirrors = new MirrorProcess({
    connect: async () => Promise.reject(new Error('nobody is there')),
    logger,
    report,
    tell: ({ type }) => void (configured += type === 'configured' ? 1 : 0),
  });
  test.after(() => mirrors.close());
  const configure = (port: number): void => {
    const source = { source: 'app', address: { host: '127.0.0.1', port }, database: 'app', user: 'app', password: '' };
    // Where nobody can log in there is nothing to be looked at.
    const targets = [targetConfig(nowhere, 'app', { fallback: undefined })];
    const message = { type: 'configure', epoch: 1, targets, instance: '', look: false, prepared: [] } as const;
    mirrors.message({ ...message, sourceLogins: [source] } satisfies ToMirrorProcess);
  };
  const state = (): string | undefined => mirrors.targets.get(1)?.state;
  configure(1);
  await eventually(() => configured === 1);
  assert.equal(state(), 'up');
  configure(1);
  assert.equal(state(), 'up');
  configure(2);
  assert.equal(state(), 'down');
  await eventually(() => configured === 3);
  assert.equal(state(), 'up');
});
