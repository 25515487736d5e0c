import { parseArguments, HELP, type Command } from './arguments.ts';
import { ConfigError } from '../config/config-error.ts';
import { ExitStatus } from './exit-status.ts';
import { packageVersion } from './package-version.ts';

/** Runs the command that the words after the program's name ask for, and gives the exit status. */
export async function main(words: readonly string[]): Promise<number> {
  process.stdout.on('error', outputFailed);
  try {
    return await perform(parseArguments(words));
  } catch (error) {
    if (error instanceof ConfigError) {
      for (const problem of error.problems) console.error(problem);
      return ExitStatus.Refused;
    }
    console.error(`pgmirror: ${error instanceof Error ? error.message : String(error)}`);
    return ExitStatus.Failed;
  }
}

// Whoever reads may have read enough, as `head` does; what cannot be written for another reason must not pass for a success.
function outputFailed(error: NodeJS.ErrnoException): void {
  if (error.code === 'EPIPE') return;
  console.error(`pgmirror: the output cannot be written: ${error.message}`);
  process.exit(ExitStatus.Failed);
}

// A command's module is loaded when it is asked for: --help and check need none of what run needs.
async function perform(command: Command): Promise<number> {
  switch (command.name) {
    case 'run': {
      const { run } = await import('./run.ts');
      return await run({ config: command.config, users: command.users });
    }
    case 'check': {
      const { check } = await import('./check.ts');
      return await check(command, { environment: process.env, print: (line) => console.log(line) });
    }
    case 'report': {
      const { report } = await import('./report.ts');
      return await report(command, {
        environment: process.env,
        print: (text) => process.stdout.write(text),
        complain: (line) => console.error(`pgmirror: ${line}`),
      });
    }
    case 'demo': {
      const { demo } = await import('./demo/demo.ts');
      return await demo({ seconds: command.seconds });
    }
    case 'help':
      process.stdout.write(HELP);
      return ExitStatus.Fine;
    case 'version':
      console.log(`pgmirror ${packageVersion()}`);
      return ExitStatus.Fine;
    case 'refused':
      console.error(`pgmirror: ${command.reason} (pgmirror --help)`);
      return ExitStatus.Refused;
  }
}
