import { after, before, describe, it } from 'node:test';

import { inReverse } from '../support/cleanup.ts';
import { machinePostgres, type RunningPostgres } from '../support/postgres.ts';
import { startWatchedPostgres } from '../support/watched-postgres.ts';
import { Comparison } from './wire/comparison.ts';
import { copyCases } from './wire/copy-cases.ts';
import { nameCases } from './wire/name-cases.ts';
import { pipelineCases } from './wire/pipeline-cases.ts';
import { queryCases } from './wire/query-cases.ts';
import { stateCases } from './wire/state-cases.ts';

const dialogues = [...pipelineCases, ...nameCases, ...copyCases, ...queryCases, ...stateCases];

const servers = [
  { name: 'embedded PostgreSQL', options: {}, skip: false },
  {
    name: "the machine's PostgreSQL",
    options: { binaries: machinePostgres() ?? '' },
    skip: machinePostgres() === undefined && 'no PostgreSQL is installed',
  },
];

const configurations = [
  { name: 'a pool of one', general: { default_pool_size: 1 } },
  { name: 'room for one prepared statement', general: { default_pool_size: 1, prepared_statements_limit: 1 } },
  { name: 'a pool of four', general: { default_pool_size: 4 } },
  { name: 'two workers', general: { default_pool_size: 4, workers: 2 } },
];

for (const { name, options, skip } of servers) {
  describe(`pgmirror answers as the ${name} behind it`, { skip, concurrency: configurations.length }, () => {
    const cleanup = inReverse({ after });
    let server: RunningPostgres;

    before(async () => {
      server = await startWatchedPostgres(cleanup, options);
    });

    for (const configuration of configurations) {
      describe(`with ${configuration.name}`, { concurrency: false }, () => {
        const undo = inReverse({ after });
        let comparison: Comparison;
        before(async () => {
          comparison = await Comparison.start(undo, server, configuration.general);
        });
        for (const dialogue of dialogues) {
          it(dialogue.name, async () => comparison.compare(dialogue));
        }
      });
    }
  });
}
