import type * as tls from 'node:tls';

/**
 * `node:tls`, loaded when it is first asked for: that takes longer than all modules of a pooler thread, and where no
 * connection is encrypted nobody needs it.
 */
export function nodeTls(): typeof tls {
  return process.getBuiltinModule('node:tls');
}
