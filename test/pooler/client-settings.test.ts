import { it } from 'node:test';
import { giveClientSettings } from '../../src/pooler/client-settings.ts';
import { ParameterSet } from '../../src/session/parameter-set.ts';
import { commandComplete, cstr, int32, msg, readyForQuery } from '../support/bytes.ts';
import { eventually } from '../support/eventually.ts';
import { openBackend, RelayBench } from './relay-bench.ts';

it('a client that listens is notified while its connection is given its settings, too', async (t) => {
  const backend = await openBackend(t);
  const bench = await RelayBench.start(t, { baseline: backend.server.state.baseline.entries });
  bench.use(backend);
  bench.link.settings = new ParameterSet(new Map([['work_mem', '1MB']]));
  let given = false;
  giveClientSettings(bench.link, backend.server, 10_000, (failure) => (given = failure === undefined));
  await backend.peer.expect('Q');
  const notification = msg('A', int32(4712), cstr('channel'), cstr('payload'));
  backend.peer.send(notification, commandComplete('SELECT 1'), readyForQuery('I'));
  await bench.told(notification);
  await eventually(() => given);
});
