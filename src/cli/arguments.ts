import { parseArgs } from 'node:util';
import { parseCondition, CONDITION_SYNTAX, type Condition } from './report/condition.ts';
import { REPORT_FORMATS, type ReportFormat } from './report/report-format.ts';

/** Where both configuration files are. */
export interface ConfigFiles {
  readonly config: string;
  readonly users: string;
}

/** What `pgmirror report` is asked. */
export interface ReportCommand extends ConfigFiles {
  /** In place of the address that the configuration has. */
  readonly url: string | undefined;
  readonly format: ReportFormat;
  readonly failOn: readonly Condition[];
  /** Undefined: not told. */
  readonly minCalls: number | undefined;
  /** The fingerprint of a query whose plans are shown in place of the report. */
  readonly explain: string | undefined;
}

/** What the command line asks for; `refused` is the one line that says what was found and what is accepted. */
export type Command =
  | ({ readonly name: 'run' } & ConfigFiles)
  | ({ readonly name: 'check'; readonly connect: boolean } & ConfigFiles)
  | ({ readonly name: 'report' } & ReportCommand)
  | { readonly name: 'demo'; readonly seconds: number }
  | { readonly name: 'help' }
  | { readonly name: 'version' }
  | { readonly name: 'refused'; readonly reason: string };

/** The help; one screen. */
export const HELP = `pgmirror pools connections to PostgreSQL and mirrors live traffic to other PostgreSQLs.

Usage:
  pgmirror [run] [--config FILE] [--users FILE]
      Run until a signal (SIGTERM, SIGINT: stop; SIGHUP: reload; SIGUSR1: pause;
      SIGUSR2: resume). Logs JSON lines.
  pgmirror check [--config FILE] [--users FILE] [--connect]
      Validate both files; with --connect log in to every source and mirror as well.
  pgmirror report [--config FILE] [--users FILE] [--url URL] [--format FORMAT]
                  [--fail-on CONDITION]… [--min-calls N] [--explain FINGERPRINT]
      What a running pgmirror found: which queries became slower, fail, or answer differently.
  pgmirror demo [--seconds N]
      A source and a mirror of its own with sample traffic, for 20 seconds unless told (1 to 86400);
      up to 30 more where too little has been measured by then.
  pgmirror --help | --version

Options:
  --config FILE   sections [general], [admin], [[databases]], [[mirroring]]  (pgmirror.toml)
  --users FILE    sections [[users]]                                         (users.toml)
  --url URL, --format table|json|markdown|html, --min-calls N (leave out what ran less often)
  --fail-on CONDITION   report only: 'p95_ratio>1.2', 'error_new>0', 'mismatch>0' …
  --explain FINGERPRINT report only: the plans of that query on both sides

Exit status: 0 fine, 1 failed while running, 2 bad arguments or bad configuration, 3 --fail-on met.
`;

const COMMANDS = ['run', 'check', 'report', 'demo'] as const;
type CommandName = (typeof COMMANDS)[number];

/** Options that each command takes besides --help and --version. */
const optionsOf: { readonly [Name in CommandName]: readonly string[] } = {
  run: ['config', 'users'],
  check: ['config', 'users', 'connect'],
  report: ['config', 'users', 'url', 'format', 'fail-on', 'min-calls', 'explain'],
  demo: ['seconds'],
};
const spelling: Readonly<Record<string, string>> = {
  config: '--config FILE',
  users: '--users FILE',
  connect: '--connect',
  seconds: '--seconds N',
  url: '--url URL',
  format: '--format FORMAT',
  'fail-on': '--fail-on CONDITION',
  'min-calls': '--min-calls N',
  explain: '--explain FINGERPRINT',
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
  const accepted = COMMANDS.join(', ');
  const name = COMMANDS.find((command) => command === word);
  if (name === undefined) return refused(`found command "${word}", accepted: ${accepted}`);

  const values = new Map<string, string | undefined>();
  const conditions: string[] = [];
  for (const { name: option, rawName, value } of given) {
    if (!optionsOf[name].includes(option)) {
      return refused(`found ${rawName} with ${name}, accepted: ${acceptedOptions(name)}`);
    }
    if (option === 'fail-on') conditions.push(value ?? '');
    else if (values.has(option)) return refused(`found ${rawName} twice, accepted: once`);
    values.set(option, value);
  }
  if (extra !== undefined) return refused(`found "${extra}" after ${name}, accepted: ${acceptedOptions(name)}`);
  return completed(name, values, conditions);
}

const options = {
  config: { type: 'string' },
  users: { type: 'string' },
  connect: { type: 'boolean' },
  seconds: { type: 'string' },
  url: { type: 'string' },
  format: { type: 'string' },
  'fail-on': { type: 'string', multiple: true },
  'min-calls': { type: 'string' },
  explain: { type: 'string' },
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

function completed(
  name: CommandName,
  values: ReadonlyMap<string, string | undefined>,
  conditions: readonly string[],
): Command {
  if (name === 'demo') {
    const text = values.get('seconds') ?? String(DEFAULT_SECONDS);
    const seconds = /^\d{1,6}$/.test(text) ? Number(text) : 0;
    if (seconds >= 1 && seconds <= MAX_SECONDS) return { name, seconds };
    return refused(`found --seconds ${text}, accepted: an integer from 1 to ${MAX_SECONDS}`);
  }
  const files = { config: values.get('config') ?? 'pgmirror.toml', users: values.get('users') ?? 'users.toml' };
  if (name === 'report') return reportCommand(files, values, conditions);
  return name === 'run' ? { name, ...files } : { name, connect: values.has('connect'), ...files };
}

function reportCommand(
  files: ConfigFiles,
  values: ReadonlyMap<string, string | undefined>,
  conditions: readonly string[],
): Command {
  const url = values.get('url');
  if (url !== undefined && !/^https?:$/.test(URL.parse(url)?.protocol ?? '')) {
    return refused(`found --url ${url}, accepted: an http:// or https:// address`);
  }
  if (url !== undefined && values.has('config')) return refused('found --config and --url, accepted: one of them');
  const format = REPORT_FORMATS.find((one) => one === (values.get('format') ?? 'table'));
  if (format === undefined) {
    return refused(`found --format ${values.get('format')}, accepted: ${REPORT_FORMATS.join(', ')}`);
  }
  const failOn: Condition[] = [];
  for (const text of conditions) {
    const condition = parseCondition(text);
    if (condition === undefined) return refused(`found --fail-on ${text}, accepted: ${CONDITION_SYNTAX}`);
    failOn.push(condition);
  }
  const minCalls = values.get('min-calls');
  if (minCalls !== undefined && !/^\d{1,12}$/.test(minCalls)) {
    return refused(`found --min-calls ${minCalls}, accepted: an integer`);
  }
  const explain = values.get('explain');
  if (explain !== undefined && !/^[0-9a-f]{16}$/.test(explain)) {
    return refused(`found --explain ${explain}, accepted: a fingerprint, 16 hexadecimal digits`);
  }
  if (explain !== undefined && url !== undefined) {
    return refused('found --explain with --url, accepted: --explain with --config, for the admin login');
  }
  return {
    name: 'report',
    ...files,
    url,
    format,
    failOn,
    minCalls: minCalls === undefined ? undefined : Number(minCalls),
    explain,
  };
}

function acceptedOptions(name: CommandName): string {
  return [...optionsOf[name].map((option) => spelling[option]), '--help', '--version'].join(', ');
}

function refused(reason: string): Command {
  return { name: 'refused', reason };
}
