import assert from 'node:assert/strict';
import { existsSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { describe, it } from 'node:test';
import type { TestContext } from 'node:test';
import { runAdminCommand } from '../../src/admin/admin-commands.ts';
import type { AdminHost } from '../../src/admin/admin-host.ts';
import { HELP } from '../../src/cli/arguments.ts';
import { check } from '../../src/cli/check.ts';
import { DROP_REASONS } from '../../src/mirror/record/drop-reason-names.ts';
import { writeFiles } from '../config/config-files.ts';
import { codeBlocks, partUnder, projectFile, tableRows, textOf } from './documents.ts';

const readme = textOf('README.md');
const documents = ['README.md', 'CHANGELOG.md', 'docs/configuration.md', 'docs/hazards.md', 'docs/performance.md'];

/** What `check` prints of these files, with its status. */
async function checked(t: TestContext, config: string, users: string, environment: NodeJS.ProcessEnv = {}) {
  const files = writeFiles(t, config, users);
  const lines: string[] = [];
  const print = (line: string): void => void lines.push(line.replaceAll(`${files.directory}/`, ''));
  return { status: await check({ ...files, connect: false }, { environment, print }), lines };
}

describe('The README', () => {
  it('has a configuration in which check finds nothing to remark', async (t) => {
    const [config = '', users = '', ...more] = codeBlocks(readme, 'toml');
    assert.deepEqual(more, []);
    assert.deepEqual(await checked(t, config, users), {
      status: 0,
      lines: ['pgmirror.toml, users.toml: fine (2 databases, 1 mirror, 1 user)'],
    });
  });

  it('names the files of its configuration in the commands that use them', () => {
    const names = codeBlocks(readme, 'toml').map((block) => /^# (\S+)$/m.exec(block)?.[1]);
    const commands = codeBlocks(readme, 'sh').join('');
    assert.match(commands, new RegExp(`^npm start -- --config ${names[0]} --users ${names[1]}$`, 'm'));
    assert.match(commands, new RegExp(`^npm start -- check --connect --config ${names[0]} --users ${names[1]}$`, 'm'));
  });

  it('names scripts of npm that there are', () => {
    const { scripts } = JSON.parse(textOf('package.json')) as { scripts: Record<string, string> };
    const named = [...readme.matchAll(/\bnpm run (\w[\w:-]*)/g)].map(([, name = '']) => name);
    assert.deepEqual(
      named.filter((name) => scripts[name] === undefined),
      [],
    );
  });

  it('names source files that there are', () => {
    const named = new Set([...readme.matchAll(/\bsrc\/[\w./-]+\.ts\b/g)].map(([path]) => path));
    assert.ok(named.size > 20);
    assert.deepEqual(
      [...named].filter((path) => !existsSync(projectFile(path))),
      [],
    );
  });

  it('numbers the way of a transaction without a gap', () => {
    const numbers = [...partUnder(readme, 'How a transaction travels').matchAll(/^(\d+)\. /gm)];
    assert.deepEqual(
      numbers.map(([, number]) => Number(number)),
      numbers.map((_, index) => index + 1),
    );
  });

  it('explains every drop reason, in the order in which they count', () => {
    const rows = tableRows(partUnder(readme, 'What is mirrored'));
    assert.deepEqual(
      rows.map(([reason]) => reason),
      DROP_REASONS.map((reason) => `\`${reason}\``),
    );
  });

  it('explains every command of the admin database and every column of SHOW MIRRORS', async () => {
    const nothing: Partial<AdminHost> = { mirrors: () => Promise.resolve([]) };
    const host = nothing as AdminHost;
    const help = await runAdminCommand(host, 'SHOW HELP');
    const mirrors = await runAdminCommand(host, 'SHOW MIRRORS');
    assert.ok(help.kind === 'rows' && mirrors.kind === 'rows');
    const columns = mirrors.columns.map(({ name }) => name);
    const reasons: readonly string[] = DROP_REASONS;
    const expected = [...help.rows.map(([command]) => String(command)), ...columns];
    const part = partUnder(readme, 'The admin database');
    assert.deepEqual(
      expected.filter((word) => !part.includes(`\`${word}\``) && !reasons.includes(word)),
      [],
    );
  });

  it('has every command and exit status that --help has', () => {
    const part = partUnder(readme, 'Commands, signals, exit statuses');
    const whole = HELP.replaceAll(/\n {10,}(?=\[)/g, ' ');
    const commands = [...whole.matchAll(/^ {2}(pgmirror .*)$/gm)].map(([, command = '']) => command);
    const inReadme = part.replaceAll('`, `--version', ' | --version');
    assert.deepEqual(
      commands.filter((command) => !inReadme.includes(`\`${command}\``)),
      [],
    );
    const statuses = [...(/^Exit status: (.*)$/m.exec(HELP)?.[1] ?? '').matchAll(/\b\d\b/g)].map(([status]) => status);
    assert.deepEqual(
      tableRows(part)
        .map(([first = '']) => first)
        .filter((first) => /^\d$/.test(first)),
      statuses,
    );
  });
});

describe('Every document', () => {
  for (const document of documents) {
    it(`links to what there is: ${document}`, () => {
      const text = textOf(document);
      const links = [...text.matchAll(/\]\(([^)\s]+)\)/g)].map(([, link = '']) => link);
      const broken = links.filter((link) => {
        if (/^https?:/.test(link)) return false;
        const [path = '', anchor] = link.split('#');
        const target = path === '' ? document : join(dirname(document), path);
        if (!existsSync(projectFile(target))) return true;
        return anchor !== undefined && !anchorsOf(textOf(target)).includes(anchor);
      });
      assert.deepEqual(broken, []);
    });
  }
});

/** What links to a document's headings are called. */
function anchorsOf(markdown: string): string[] {
  const headings = [...markdown.matchAll(/^#+ (.*)$/gm)].map(([, heading = '']) => heading);
  return headings.map((heading) =>
    heading
      .toLowerCase()
      .replaceAll(/[^\p{L}\p{N} _-]/gu, '')
      .replaceAll(' ', '-'),
  );
}

describe('The files for Docker Compose', () => {
  it('are a configuration in which check finds nothing to remark, with the passwords that Compose gives', async (t) => {
    const compose = textOf('docker-compose.yml');
    const environment = Object.fromEntries(
      [...compose.matchAll(/^ {2}(\w+_PASSWORD): \$\{\1:-(\w+)\}$/gm)].map(([, name, value]) => [name, value]),
    );
    assert.deepEqual(await checked(t, textOf('pgmirror.toml'), textOf('users.toml'), environment), {
      status: 0,
      lines: ['pgmirror.toml, users.toml: fine (2 databases, 1 mirror, 1 user)'],
    });
  });

  it('agree on names and ports', () => {
    const compose = textOf('docker-compose.yml');
    const services = [...partOf(compose, 'services').matchAll(/^ {2}([\w-]+):$/gm)].map(([, name]) => name);
    const hosts = [...textOf('pgmirror.toml').matchAll(/^host = "([a-z]\w*)"/gm)].map(([, name]) => name);
    assert.deepEqual(hosts, ['source', 'mirror']);
    assert.deepEqual(
      hosts.filter((host) => !services.includes(host)),
      [],
    );
    const port = /^port = (\d+)$/m.exec(textOf('pgmirror.toml'))?.[1];
    assert.match(compose, new RegExp(`:${port}:${port}'`));
    assert.match(textOf('Dockerfile'), new RegExp(`^EXPOSE ${port}$`, 'm'));
  });
});

/** A top-level section of a YAML file. */
function partOf(yaml: string, name: string): string {
  return new RegExp(`^${name}:\\n((?:[ #].*\\n|\\n)*)`, 'm').exec(yaml)?.[1] ?? '';
}
