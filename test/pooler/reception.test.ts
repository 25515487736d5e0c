import assert from 'node:assert/strict';
import { once } from 'node:events';
import { readdirSync, readlinkSync } from 'node:fs';
import { connect } from 'node:net';
import { describe, it } from 'node:test';
import type { PoolerOptions } from '../../src/pooler/pooler-options.ts';
import { Reception } from '../../src/pooler/reception.ts';
import type { ReceptionHost } from '../../src/pooler/reception.ts';
import { skipWithoutProc } from '../support/processes.ts';

const OPTIONS = {
  authType: 'scram',
  tls: undefined,
  tlsRequired: false,
  limits: { maxLoginConnections: 5, loginFailuresPerMinute: 0, clientLoginTimeoutMs: 60_000 },
} as unknown as PoolerOptions;

/** Nobody may log in. */
const HOST: ReceptionHost = {
  mockSecret: Buffer.alloc(32, 1),
  lookUp: () => ({ authType: 'scram', secret: undefined }),
  cancel: () => undefined,
  loggedIn: () => undefined,
  loginArrived: () => false,
  loginLeft: () => undefined,
  loginFailed: () => undefined,
  refused: () => undefined,
  startupOver: () => undefined,
  log: () => undefined,
};

/** Sockets that this process has open. */
function openSockets(): number {
  const kinds = readdirSync('/proc/self/fd').map((fd) => {
    try {
      return readlinkSync(`/proc/self/fd/${fd}`);
    } catch {
      return '';
    }
  });
  return kinds.filter((kind) => kind.startsWith('socket:')).length;
}

describe('connections that are turned away', { skip: skipWithoutProc }, () => {
  it('and do not close are no more than those that may log in', async (t) => {
    const reception = new Reception(HOST, OPTIONS);
    const port = await reception.listen({ host: '127.0.0.1', port: 0, reusePort: false });
    t.after(() => {
      reception.close();
      reception.sendAway();
    });
    const before = openSockets();
    const crowd = Array.from({ length: 50 }, () => connect({ host: '127.0.0.1', port, allowHalfOpen: true }));
    t.after(() => {
      for (const peer of crowd) peer.destroy();
    });
    const refusals = await Promise.all(crowd.map(async (peer) => once(peer, 'data')));
    for (const [refusal] of refusals) assert.match(String(refusal), /53300/);
    const own = crowd.filter((peer) => !peer.destroyed).length;
    const kept = openSockets() - before - own;
    assert.ok(kept <= 6, `${kept} sockets of 50 clients are kept, and 5 may log in`);
  });
});
