import type { Config } from '../config/config.ts';
import { loadConfig } from '../config/load-config.ts';
import type { ReportCommand } from './arguments.ts';
import { ExitStatus } from './exit-status.ts';
import { explainOverAdmin } from './report/explain.ts';
import { fetchTold } from './report/fetch-told.ts';
import { findings } from './report/findings.ts';
import { formatReport } from './report/format-report.ts';
import { oneLine } from './report/words.ts';

/** Where the report goes and where `${NAME}` comes from. */
export interface ReportSurroundings {
  readonly environment: NodeJS.ProcessEnv;
  readonly print: (text: string) => void;
  readonly complain: (line: string) => void;
}

/** `pgmirror report`: prints what a running pgmirror found, and gives the exit status. Throws ConfigError. */
export async function report(command: ReportCommand, surroundings: ReportSurroundings): Promise<number> {
  const { environment, print, complain } = surroundings;
  const load = (): Config => loadConfig({ config: command.config, users: command.users }, environment);
  if (command.explain !== undefined) {
    const config = load();
    if (config.admin.password === undefined) {
      complain(`${command.config}: admin.password: found none, --explain goes through the admin database`);
      return ExitStatus.Refused;
    }
    print(await explainOverAdmin(config, config.admin.password, command.explain));
    return ExitStatus.Fine;
  }
  const address = command.url ?? addressOf(load());
  if (address === undefined) {
    complain(`${command.config}: general.http_port: found none, accepted: a port to serve HTTP on (or --url)`);
    return ExitStatus.Refused;
  }
  const found = findings(await fetchTold(address), command.failOn, command.minCalls);
  print(formatReport(found, command.format));
  // A build must not be taken for good because nothing was there to be found bad.
  if (command.failOn.length > 0 && found.queries.length === 0) complain(`no condition can be met: ${found.verdict}`);
  for (const { condition, query } of found.met) {
    complain(`${condition} is met by ${query.fingerprint} on ${query.destination}: ${oneLine(query.query, 80)}`);
  }
  return found.met.length > 0 ? ExitStatus.ConditionMet : ExitStatus.Fine;
}

/** Where the configuration has it serve HTTP. */
function addressOf({ general: { http_host: host, http_port: port } }: Config): string | undefined {
  if (port === undefined) return undefined;
  // What listens everywhere is reached here.
  const name = host === '0.0.0.0' ? '127.0.0.1' : host === '::' ? '::1' : host;
  return `http://${name.includes(':') ? `[${name}]` : name}:${port}/`;
}
