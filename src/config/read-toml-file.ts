import { readFileSync } from 'node:fs';
import { parse, TomlError } from 'smol-toml';

/** A file's tables as the TOML parser made them, or the one line that says why there are none. */
export type TomlFile = { readonly tables: Record<string, unknown> } | { readonly problem: string };

/** Reads and parses a TOML file. `accepted` says what the file is for, in case there is none. */
export function readTomlFile(path: string, accepted: string): TomlFile {
  const text = readText(path, accepted);
  if ('problem' in text) return text;
  try {
    // The parser's strings are parts of the whole text, and would keep it in memory, with the passwords in it.
    return { tables: structuredClone(parse(text.content)) };
  } catch (error) {
    if (!(error instanceof TomlError)) throw error;
    return { problem: `${path}:${error.line}:${error.column}: ${syntaxReason(error)}` };
  }
}

function readText(path: string, accepted: string): { content: string } | { problem: string } {
  let bytes: Buffer;
  try {
    bytes = readFileSync(path);
  } catch (error) {
    const code = error instanceof Error && 'code' in error ? String(error.code) : String(error);
    const found = code === 'ENOENT' ? 'no such file' : `a file that cannot be read (${code})`;
    return { problem: `${path}: found ${found}, accepted: ${accepted}` };
  }
  try {
    return { content: new TextDecoder('utf-8', { fatal: true }).decode(bytes) };
  } catch {
    return { problem: `${path}: found bytes that are not UTF-8, accepted: a TOML file in UTF-8` };
  }
}

/** The parser's reason alone: what follows it in the message quotes the file's lines, passwords among them. */
function syntaxReason(error: TomlError): string {
  const [first = ''] = error.message.split('\n');
  const reason = first.replace(/^Invalid TOML document: /, '');
  return `found invalid TOML (${reason}), accepted: TOML 1.0`;
}
