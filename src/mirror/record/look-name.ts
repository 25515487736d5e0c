/**
 * How a pgmirror recognizes a connection that a pgmirror makes to look at a mirror, and whose it is: by its
 * `application_name`. It carries the trail of the look: the pgmirror that looks, and those that passed the look on to
 * their own mirrors, each by a name that nobody can guess. A pgmirror that finds itself in the trail is its own mirror.
 */
const PREFIX = 'pgmirror check ';
const BETWEEN = '/';

/** As many pgmirrors in a row are looked through. */
const LONGEST_TRAIL = 4;

/** The `application_name` of a look with this trail. */
export function lookName(trail: readonly string[]): string {
  return PREFIX + trail.join(BETWEEN);
}

/** The trail of a look; `undefined`: the connection is none. */
export function trailOf(applicationName: string | undefined): readonly string[] | undefined {
  if (applicationName === undefined || !applicationName.startsWith(PREFIX)) return undefined;
  return applicationName.slice(PREFIX.length).split(BETWEEN);
}

/** The trail with which `instance` passes a look on; `undefined`: it has come far enough. */
export function passedOn(trail: readonly string[], instance: string): readonly string[] | undefined {
  return trail.length < LONGEST_TRAIL ? [...trail, instance] : undefined;
}

/** SQLSTATE with which a pgmirror turns away a look of its own. */
export const LOOP_SQLSTATE = 'PM001';
/** SQLSTATE with which a pgmirror turns away a look whose trail its own mirrors lead back to. */
export const CIRCLE_SQLSTATE = 'PM002';
