import { NAME_BYTES } from './client-statements.ts';

const DEALLOCATE = /^\s*deallocate\s+(?:prepare\s+)?(?:"((?:[^"]|"")+)"|([a-z_\x80-\xff][\w$\x80-\xff]*))\s*;?\s*\0?$/i;
/** Longer than this is no DEALLOCATE of one name. */
const LOOK_AT = 256;

/**
 * The name that a simple query deallocates, as bytes without a zero byte; `undefined` where the text at `start`–`end` is
 * anything but one DEALLOCATE of one statement.
 */
export function deallocatedName(bytes: Buffer, start: number, end: number): Buffer | undefined {
  const first = (bytes[start] ?? 0) | 0x20;
  if ((first !== 0x64 && first > 0x20) || end - start > LOOK_AT) return undefined;
  const match = DEALLOCATE.exec(bytes.toString('latin1', start, end));
  const quoted = match?.[1];
  const bare = match?.[2];
  if (quoted === undefined && (bare === undefined || bare.toLowerCase() === 'all')) return undefined;
  const name = quoted?.replaceAll('""', '"') ?? bare?.replace(/[A-Z]/g, (letter) => letter.toLowerCase()) ?? '';
  // The server has something to say about one that is too long.
  return name.length > NAME_BYTES ? undefined : Buffer.from(name, 'latin1');
}
