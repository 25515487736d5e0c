import { ConfigError } from '../config/config-error.ts';
import type { Config } from '../config/config.ts';
import { loadConfig } from '../config/load-config.ts';
import type { ConfigFiles } from './arguments.ts';
import { checkServers } from './check/servers.ts';
import { configWarnings } from './check/warnings.ts';
import { ExitStatus } from './exit-status.ts';

/** Where the findings go and where `${NAME}` comes from. */
export interface CheckSurroundings {
  readonly environment: NodeJS.ProcessEnv;
  readonly print: (line: string) => void;
}

/**
 * `pgmirror check`: one line for each finding, and a last one that says whether all is fine. Warnings change nothing
 * about the exit status; with `connect`, a server that cannot be used makes it 1.
 */
export async function check(
  options: ConfigFiles & { readonly connect: boolean },
  { environment, print }: CheckSurroundings,
): Promise<number> {
  let config: Config;
  try {
    config = loadConfig({ config: options.config, users: options.users }, environment);
  } catch (error) {
    if (!(error instanceof ConfigError)) throw error;
    for (const problem of error.problems) print(problem);
    print(`${options.config}, ${options.users}: refused (${counted(error.problems.length, 'problem')})`);
    return ExitStatus.Refused;
  }
  const warnings = configWarnings(config);
  for (const warning of warnings) print(`warning: ${warning}`);
  const failures = options.connect ? await checkServers(config, print) : 0;
  print(summary(config, warnings.length, failures));
  return failures > 0 ? ExitStatus.Failed : ExitStatus.Fine;
}

function summary(config: Config, warnings: number, failures: number): string {
  const counts = [
    counted(config.databases.length, 'database'),
    counted(config.mirroring.length, 'mirror'),
    counted(config.users.length, 'user'),
    ...(warnings > 0 ? [counted(warnings, 'warning')] : []),
  ];
  const verdict = failures > 0 ? `valid, but ${counted(failures, 'check')} of the servers failed` : 'fine';
  return `${config.files.config}, ${config.files.users}: ${verdict} (${counts.join(', ')})`;
}

function counted(count: number, thing: string): string {
  return `${count} ${thing}${count === 1 ? '' : 's'}`;
}
