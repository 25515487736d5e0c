/**
 * How a pgmirror recognizes a connection that its own mirror process makes to look at a mirror: by its
 * `application_name`, which nobody can guess. A mirror at whose door such a connection knocks is this pgmirror itself.
 */
export function loopName(instance: string): string {
  return `pgmirror check ${instance}`;
}

/** SQLSTATE with which such a connection is turned away. */
export const LOOP_SQLSTATE = 'PM001';
