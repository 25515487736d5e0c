import assert from 'node:assert/strict';
import { describe, it } from 'node:test';

import { lookName } from '../../../src/mirror/record/look-name.ts';
import { leadBack } from '../../../src/mirror/replay/circle.ts';
import type { Connect } from '../../../src/mirror/replay/connect.ts';
import { targetConfig } from './mirror-child.ts';

const trail = ['first', 'second'];

/** How a mirror answers the login of each user: with an SQLSTATE. */
type Answers = Readonly<Record<string, string>>;

/** What is found out of mirrors with these answers, and as whom they were asked. */
async function ask(...mirrors: readonly Answers[]): Promise<{ found: boolean; asked: string[] }> {
  const asked: string[] = [];
  const connect: Connect = async ({ address, user, parameters }) => {
    assert.deepEqual(parameters, { application_name: lookName(trail) });
    asked.push(user);
    return Promise.reject(Object.assign(new Error('no'), { code: mirrors[address.port]?.[user] }));
  };
  const configs = mirrors.map((answers, port) =>
    targetConfig({ host: '127.0.0.1', port, user: '', password: '' }, 'app', {
      fallback: undefined,
      users: Object.keys(answers).map((name) => ({ name, user: name, password: undefined })),
    }),
  );
  return { found: await leadBack(configs, { connect, trail }), asked };
}

describe('A mirror leads back', () => {
  it('where it, or one behind it, is in the trail', async () => {
    assert.deepEqual(await ask({ anna: 'PM001' }), { found: true, asked: ['anna'] });
    assert.deepEqual(await ask({ anna: 'PM002' }), { found: true, asked: ['anna'] });
    assert.equal((await ask({ anna: '08006' }, { anna: 'PM001' })).found, true);
  });

  it('not where it cannot be reached, or takes nobody', async () => {
    assert.deepEqual(await ask({ anna: '08006', bert: 'PM001' }), { found: false, asked: ['anna'] });
    assert.deepEqual(await ask({ anna: '28P01', bert: '28000' }), { found: false, asked: ['anna', 'bert'] });
    assert.equal((await ask()).found, false);
  });

  it('as the next user where it does not know one', async () => {
    assert.deepEqual(await ask({ anna: '28P01', bert: 'PM001' }), { found: true, asked: ['anna', 'bert'] });
  });
});
