/** Startup parameters that are not settings of the session (manual, "Message Formats", StartupMessage). */
const NOT_SETTINGS = new Set(['user', 'database', 'replication', 'options']);

/** What a StartupMessage asks for: settings by lower-case name, and the protocol options that are not known. */
export interface StartupOptions {
  readonly settings: ReadonlyMap<string, string>;
  readonly protocolOptions: readonly string[];
}

/** The settings among startup parameters, those of the command-line `options` included. Throws Error as PostgreSQL words it. */
export function startupOptions(parameters: ReadonlyMap<string, string>): StartupOptions {
  const settings = new Map<string, string>();
  const protocolOptions: string[] = [];
  // PostgreSQL applies `options` first, so that a parameter given by itself wins.
  for (const [name, value] of commandLineSettings(parameters.get('options') ?? '')) settings.set(name, value);
  for (const [name, value] of parameters) {
    if (name.startsWith('_pq_.')) protocolOptions.push(name);
    else if (!NOT_SETTINGS.has(name)) settings.set(name.toLowerCase(), value);
  }
  return { settings, protocolOptions };
}

/** `-c name=value` and `--name=value`, split at white space, a backslash keeping the next character (pg_split_opts). */
function* commandLineSettings(options: string): Generator<[string, string]> {
  const words = splitOptions(options);
  for (let index = 0; index < words.length; index++) {
    const word = words[index] ?? '';
    let assignment: string | undefined;
    if (word === '-c') assignment = words[++index];
    else if (word.startsWith('-c')) assignment = word.slice(2);
    else if (word.startsWith('--')) assignment = word.slice(2);
    const equals = assignment?.indexOf('=') ?? -1;
    if (assignment === undefined || equals <= 0)
      throw new Error(`invalid command-line argument for server process: ${word}`);
    // A dash in a name stands for an underscore (ParseLongOption).
    yield [assignment.slice(0, equals).replaceAll('-', '_').toLowerCase(), assignment.slice(equals + 1)];
  }
}

/** C's isspace(). */
const SPACE = /[ \t\n\v\f\r]/;

function splitOptions(options: string): string[] {
  const words: string[] = [];
  let word = '';
  let inWord = false;
  for (let index = 0; index < options.length; index++) {
    const character = options[index] ?? '';
    if (SPACE.test(character)) {
      if (inWord) words.push(word);
      word = '';
      inWord = false;
      continue;
    }
    inWord = true;
    word += character === '\\' ? (options[++index] ?? '') : character;
  }
  if (inWord) words.push(word);
  return words;
}
