import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import type { SessionEnding } from '../../src/pooler/session-ending.ts';
import { SessionPreparation } from '../../src/pooler/session-preparation.ts';
import type { SlowOutput } from '../../src/pooler/slow-output.ts';
import { commandComplete, query, readyForQuery, sync } from '../support/bytes.ts';
import { eventually } from '../support/eventually.ts';
import { openBackend, received, RelayBench } from './relay-bench.ts';

describe('what sequences gave another client', () => {
  it('is forgotten when a cancel of the client, still on its way, cannot hit that any more', async (t) => {
    const backend = await openBackend(t);
    const bench = await RelayBench.start(t);
    bench.use(backend);
    const { server, peer } = backend;
    let prepared = 0;
    const owner = {
      prepared: () => void prepared++,
      refuse: () => assert.fail('refused'),
      tryAgain: () => assert.fail('tried again'),
      keepsServer: false,
    };
    const ending = { hasLeft: () => false } as Partial<SessionEnding> as SessionEnding;
    const output = { paused: false } as SlowOutput;
    const preparation = new SessionPreparation({ link: bench.link, output, ending }, owner, 10_000);
    server.countCancel(1);
    preparation.forgetSequences(server);
    server.socket.write(sync);
    await received(backend, sync);
    server.countCancel(-1);
    await received(backend, query('DISCARD SEQUENCES'));
    peer.send(commandComplete('DISCARD SEQUENCES'), readyForQuery('I'));
    await eventually(() => prepared === 1);
    assert.equal(server.state.sequencesOf, bench.link.statements);
  });
});
