import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import type { RecordingDesk } from '../../src/mirror/record/recording-desk.ts';
import type { Pooler } from '../../src/pooler/pooler.ts';
import { snapshotOf } from '../../src/pooler/pooler-snapshot.ts';

describe('what a thread tells of itself', () => {
  it('is how many clients it has, and nothing of each, unless that is asked for', () => {
    const session = {
      options: { pool: undefined },
      get link() {
        throw new Error('a client was looked at');
      },
    };
    const pooler = {
      clients: { sessions: [session, session], replications: [] },
      pools: { all: () => [], paused: { all: false, exceptions: new Set() }, statistics: new Map() },
    } as unknown as Pooler;
    const desk = { errors: [] } as unknown as RecordingDesk;
    const { clientCount, clients, servers } = snapshotOf(0, pooler, desk, { connections: false });
    assert.deepEqual({ clientCount, clients, servers }, { clientCount: 2, clients: [], servers: [] });
    assert.throws(() => snapshotOf(0, pooler, desk, { connections: true }), /a client was looked at/);
  });
});
