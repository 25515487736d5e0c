/** Everything wrong with the configuration files, one line a problem: file, key (or line and column), what was found, what is accepted. */
export class ConfigError extends Error {
  readonly code = 'CONFIG';
  readonly problems: readonly string[];

  constructor(problems: readonly string[]) {
    super(problems.join('\n'));
    this.name = 'ConfigError';
    this.problems = problems;
  }
}
