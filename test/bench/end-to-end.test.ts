import assert from 'node:assert/strict';
import { readFile } from 'node:fs/promises';
import { after, describe, it } from 'node:test';
import { fileURLToPath } from 'node:url';

import { inReverse } from '../support/cleanup.ts';
import { skipWithoutProc } from '../support/processes.ts';
import { runProgram, skipWithout } from '../support/programs.ts';
import { TemporaryFiles } from '../support/temporary-files.ts';

const script = fileURLToPath(new URL('./end-to-end.ts', import.meta.url));

describe('The benchmark', { skip: skipWithout('pgbench') || skipWithoutProc }, () => {
  const cleanup = inReverse({ after });

  it('measures each contender under each load, prints a table and writes JSON', async () => {
    const file = (await TemporaryFiles.start(cleanup)).path('bench.json');
    const { status, stdout, stderr } = await runProgram(process.execPath, [script, '--smoke', '--json', file]);
    assert.equal(status, 0, stderr);
    const { rounds, summaries } = JSON.parse(await readFile(file, 'utf8')) as {
      rounds: { contender: string; perSecond: number; p50: number; errors: number }[][];
      summaries: { contender: string; processorToBare: number; threads: object }[];
    };
    const names = summaries.map(({ contender }) => contender);
    for (const name of ['bare', 'exposure-1']) assert.ok(names.includes(name), `${name} among ${names.join(', ')}`);
    for (const { contender, perSecond, p50, errors } of rounds.flat()) {
      assert.ok(perSecond > 0 && p50 > 0 && errors === 0, `${contender}: ${perSecond}, ${p50}, ${errors}`);
      assert.match(stdout, new RegExp(`^\\| ${contender} `, 'm'));
    }
    assert.ok(summaries.some(({ threads }) => 'pooler 0' in threads));
  });

  it('says what is wrong with its flags', async () => {
    const { status, stderr } = await runProgram(process.execPath, [script, '--rounds', 'none']);
    assert.deepEqual([status, stderr], [2, '--rounds: found none, accepted: 1 or more\n']);
  });
});
