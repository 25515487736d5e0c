import { parseArgs } from 'node:util';

/** Where both configuration files are. */
export interface ConfigFiles {
  readonly config: string;
  readonly users: string;
}

/** What the command line asks for; `refused` is the one line that says what was found and what is accepted. */
export type Command =
  | ({ readonly name: 'run' } & ConfigFiles)
  | ({ readonly name: 'check'; readonly connect: boolean } & ConfigFiles)
  | { readonly name: 'demo'; readonly seconds: number }
  | { readonly name: 'help' }
  | { readonly name: 'version' }
  | { readonly name: 'refused'; readonly reason: string };

/** The help; one screen. */
export const HELP = `pgmirror pools connections to PostgreSQL and mirrors live traffic to other PostgreSQLs.

Usage:
  pgmirror [run] [--config FILE] [--users FILE]
      Run until a signal (SIGTERM, SIGINT: stop; SIGHUP: reload). Logs JSON lines.
  pgmirror check [--config FILE] [--users FILE] [--connect]
      Validate both files; with --connect log in to every source and mirror as well.
  pgmirror demo [--seconds N]
      A source and a mirror of its own with sample traffic, for 20 seconds unless told.
  pgmirror --help | --version

Options:
  --config FILE   sections [general], [admin], [[databases]], [[mirroring]]  (pgmirror.toml)
  --users FILE    sections [[users]]                                         (users.toml)
  --connect       check only: connect to the servers too
  --seconds N     demo only: how long, 1 to 86400

Exit status: 0 fine, 1 failed while running, 2 bad arguments or bad configuration.
`;

const COMMANDS = ['run', 'check', 'report', 'demo'] as const;
type CommandName = (typeof COMMANDS)[number];

/** Options that each command takes besides --help and --version. */
const optionsOf: { readonly [Name in CommandName]: readonly string[] } = {
  run: ['config', 'users'],
  check: ['config', 'users', 'connect'],
  report: [],
  demo: ['seconds'],
};
const spelling: Readonly<Record<string, string>> = {
  config: '--config FILE',
  users: '--users FILE',
  connect: '--connect',
  seconds: '--seconds N',
};

const DEFAULT_SECONDS = 20;
const MAX_SECONDS = 86_400;

/** Reads the words after the program's name. */
export function parseArguments(words: readonly string[]): Command {
  const { tokens } = parseArgs({ args: [...words], strict: false, tokens: true, allowPositionals: true, options });
  // Asking for help is never wrong, whatever else is on the line.
  if (tokens.some((token) => token.kind === 'option' && token.name === 'help')) return { name: 'help' };
  if (tokens.some((token) => token.kind === 'option' && token.name === 'version')) return { name: 'version' };

  const given = tokens.filter((token) => token.kind === 'option');
  for (const option of given) {
    const problem = spellingProblem(option);
    if (problem !== undefined) return refused(problem);
  }
  const positionals = tokens.filter((token) => token.kind === 'positional').map((token) => token.value);
  const [word = 'run', extra] = positionals;
  const accepted = COMMANDS.filter((command) => command !== 'report').join(', ');
  const name = COMMANDS.find((command) => command === word);
  if (name === undefined) return refused(`found command "${word}", accepted: ${accepted}`);
  if (name === 'report')
    return refused(`found command "report", but this version has no report; accepted: ${accepted}`);

  const values = new Map<string, string | undefined>();
  for (const { name: option, rawName, value } of given) {
    if (!optionsOf[name].includes(option)) {
      return refused(`found ${rawName} with ${name}, accepted: ${acceptedOptions(name)}`);
    }
    if (values.has(option)) return refused(`found ${rawName} twice, accepted: once`);
    values.set(option, value);
  }
  if (extra !== undefined) return refused(`found "${extra}" after ${name}, accepted: ${acceptedOptions(name)}`);
  return completed(name, values);
}

const options = {
  config: { type: 'string' },
  users: { type: 'string' },
  connect: { type: 'boolean' },
  seconds: { type: 'string' },
  help: { type: 'boolean', short: 'h' },
  version: { type: 'boolean', short: 'V' },
} as const;

interface OptionToken {
  readonly name: string;
  readonly rawName: string;
  readonly value: string | undefined;
}

/** What is wrong with an option whatever the command is. */
function spellingProblem({ name, rawName, value }: OptionToken): string | undefined {
  const accepted = Object.hasOwn(spelling, name) ? spelling[name] : undefined;
  if (accepted === undefined) {
    return `found ${rawName}, accepted: ${[...Object.values(spelling), '--help', '--version'].join(', ')}`;
  }
  if (name === 'connect') return value === undefined ? undefined : `found ${rawName}=${value}, accepted: ${accepted}`;
  // A value that looks like an option is a forgotten one: `--config --users users.toml`.
  const missing = value === undefined || value === '' || value.startsWith('--');
  return missing ? `found ${rawName} without a value, accepted: ${accepted}` : undefined;
}

function completed(name: Exclude<CommandName, 'report'>, values: ReadonlyMap<string, string | undefined>): Command {
  if (name === 'demo') {
    const text = values.get('seconds') ?? String(DEFAULT_SECONDS);
    const seconds = /^\d{1,6}$/.test(text) ? Number(text) : 0;
    if (seconds >= 1 && seconds <= MAX_SECONDS) return { name, seconds };
    return refused(`found --seconds ${text}, accepted: an integer from 1 to ${MAX_SECONDS}`);
  }
  const files = { config: values.get('config') ?? 'pgmirror.toml', users: values.get('users') ?? 'users.toml' };
  return name === 'run' ? { name, ...files } : { name, connect: values.has('connect'), ...files };
}

function acceptedOptions(name: CommandName): string {
  return [...optionsOf[name].map((option) => spelling[option]), '--help', '--version'].join(', ');
}

function refused(reason: string): Command {
  return { name: 'refused', reason };
}
