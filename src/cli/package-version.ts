import contents from '../../package.json' with { type: 'json' };

/** This package's version. */
export function packageVersion(): string {
  return contents.version;
}
