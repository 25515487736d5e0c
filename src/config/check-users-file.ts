import { checkPool, databaseNames, oneOfDatabases } from './check-words.ts';
import { quoted } from './inspect-value.ts';
import type { ProblemList } from './problem-list.ts';
import type { Sections, UserSections } from './sections.ts';
import { isScramVerifier } from './user-schema.ts';

/** What holds between the keys of users.toml, and between them and pgmirror.toml (undefined where that has no tables). */
export function checkUsersFile({ users }: UserSections, sections: Sections | undefined, problems: ProblemList): void {
  const names = sections === undefined ? undefined : databaseNames(sections);
  const authType = sections?.general.given.auth_type ?? 'scram';
  const seen = new Set<string>();
  for (const user of users) {
    const { key, given } = user;
    const databases = given.databases ?? (given.database === undefined ? [] : [given.database]);
    for (const name of databases) {
      if (names === undefined || names.includes(name)) continue;
      const where = given.databases === undefined ? 'database' : 'databases';
      problems.add({ key: `${key}.${where}`, found: quoted(name), accepted: oneOfDatabases(names) });
    }
    checkReach(user, problems);
    checkSecret(user, authType, problems);
    for (const name of given.all_databases === true ? [undefined] : databases) {
      const pair = JSON.stringify([given.name, name ?? null]);
      if (seen.has(pair)) {
        const where = name === undefined ? 'all databases' : quoted(name);
        const accepted = 'one of [[users]] for each name and database';
        problems.add({ key, found: `${quoted(given.name ?? '')} on ${where} a second time`, accepted });
      }
      seen.add(pair);
    }
    checkPool(key, given.min_pool_size, given.pool_size, 'pool_size', problems);
  }
}

type UserSection = UserSections['users'][number];

/** An entry says with exactly one key which databases it is for. */
function checkReach({ key, given, present }: UserSection, problems: ProblemList): void {
  const ways = [
    ...['database', 'databases'].filter((name) => present.has(name)),
    ...(given.all_databases === true ? ['all_databases'] : []),
  ];
  if (ways.length === 1) return;
  const found = ways.length === 0 ? 'nothing' : ways.join(' and ');
  problems.add({ key: `${key}.database`, found, accepted: 'one of database, databases and all_databases = true' });
}

/** An entry has one secret that the authentication in use can check against. */
function checkSecret({ key, given, present }: UserSection, authType: string, problems: ProblemList): void {
  const hash = given.password_hash;
  if (present.has('password') && present.has('password_hash')) {
    problems.add({ key: `${key}.password_hash`, found: 'a password besides', accepted: 'password or password_hash' });
    return;
  }
  if (authType === 'trust') return;
  const suffix = `since general.auth_type is "${authType}"`;
  if (!present.has('password') && !present.has('password_hash')) {
    problems.add({ key: `${key}.password`, found: 'nothing', accepted: `password or password_hash, ${suffix}` });
    return;
  }
  // With `md5`, who has a verifier is asked for SCRAM, as by PostgreSQL; an MD5 hash serves no other method.
  if (hash === undefined || authType !== 'scram' || isScramVerifier(hash)) return;
  const accepted = `password or a SCRAM verifier, ${suffix}`;
  problems.add({ key: `${key}.password_hash`, found: 'an md5 hash', accepted });
}
