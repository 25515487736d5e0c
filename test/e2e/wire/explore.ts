import { inReverse } from '../../support/cleanup.ts';
import { startTestPostgres, machinePostgres } from '../../support/postgres.ts';
import { Comparison } from './comparison.ts';
import { pipelineCases, nameCases } from './extended-cases.ts';
import { copyCases, queryCases } from './simple-cases.ts';
import { stateCases } from './state-cases.ts';

const undo: (() => void | Promise<void>)[] = [];
const cleanup = { after: (f: () => void | Promise<void>) => void undo.push(f) };
const filter = process.argv[2] ?? "";
const size = Number(process.argv[3] ?? 1);
const workers = Number(process.argv[4] ?? 1);
const binaries = process.argv[5] === '15' ? { binaries: machinePostgres()! } : {};
try {
  const server = await startTestPostgres(cleanup, binaries);
  let comparison = await Comparison.start(cleanup, server, { default_pool_size: size, workers, checkout_timeout: 500 });
  let bad = 0;
  for (const d of [...pipelineCases, ...nameCases, ...copyCases, ...queryCases, ...stateCases]) {
    if (!d.name.includes(filter)) continue;
    try {
      await comparison.compare(d);
    } catch (e) {
      bad++;
      console.log(`##### ${d.name}\n${(e as Error).message.replace(/^Expected values.*\n.*actual - expected\n/, '').slice(0, 1500)}\n`);
      try { const t = await comparison.traces(); if (t.length) throw new Error('traces ' + t.join()); } catch (x) { console.log('!! restart', (x as Error).message.slice(0,200));
      comparison = await Comparison.start(cleanup, server, { default_pool_size: size, workers, checkout_timeout: 500 }); }
    }
  }
  console.log('bad', bad);
  console.log(comparison.pgmirror.output().split('\n').filter((l) => !/"level":"?info|:30,/.test(l)).slice(-5).join('\n'));
} finally {
  for (const f of undo.reverse()) await f();
}
