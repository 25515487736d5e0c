import { checkPool, databaseNames, oneOfDatabases } from './check-words.ts';
import { databaseLabel } from './entry-labels.ts';
import { quoted } from './inspect-value.ts';
import type { ProblemList } from './problem-list.ts';
import type { Sections } from './sections.ts';

/** Bytes of a unix socket's path (`sun_path` of unix(7), less its zero byte; it is shorter on BSD and macOS). */
const MAX_SOCKET_PATH = process.platform === 'linux' ? 107 : 103;

/** Who listens at one of these listens at all. */
const EVERY_ADDRESS: ReadonlySet<string> = new Set(['0.0.0.0', '::']);

/** What holds between the keys of pgmirror.toml. */
export function checkConfigFile(sections: Sections, problems: ProblemList): void {
  checkGeneral(sections, problems);
  checkSocketPaths(sections, problems);
  checkDatabases(sections, problems);
  checkMirroring(sections, problems);
  checkControls(sections, problems);
}

function checkGeneral({ general }: Sections, problems: ProblemList): void {
  const { given, key } = general;
  const pairs = [
    ['tls_certificate', 'tls_private_key'],
    ['tls_server_certificate', 'tls_server_private_key'],
  ] as const;
  for (const [one, other] of pairs) {
    for (const [present, missing] of [
      [one, other],
      [other, one],
    ] as const) {
      if (given[present] === undefined || given[missing] !== undefined) continue;
      problems.add({ key: `${key}.${missing}`, found: 'nothing', accepted: `a file, since ${present} is given` });
    }
  }
  if (given.tls_client_required === true && given.tls_certificate === undefined) {
    const accepted = 'a file, since tls_client_required is true';
    problems.add({ key: `${key}.tls_certificate`, found: 'nothing', accepted });
  }
  if (given.tls_client_ca_certificate !== undefined && given.tls_certificate === undefined) {
    const accepted = 'a file, since tls_client_ca_certificate is given';
    problems.add({ key: `${key}.tls_certificate`, found: 'nothing', accepted });
  }
  // Of the public authorities any could vouch for anybody: without the host's name that proves nothing. libpq refuses it.
  if (given.tls_verify === 'verify_ca' && given.tls_server_ca_certificate === undefined) {
    const accepted = 'a file, since tls_verify is "verify_ca"';
    problems.add({ key: `${key}.tls_server_ca_certificate`, found: 'nothing', accepted });
  }
  const { host = '127.0.0.1', port = 6432, http_host: httpHost = '127.0.0.1', http_port: httpPort } = given;
  if (httpPort === port && (host === httpHost || [host, httpHost].some((one) => EVERY_ADDRESS.has(one)))) {
    problems.add({
      key: `${key}.http_port`,
      found: `${httpPort}`,
      accepted: 'another port than that of clients (port)',
    });
  }
  if (given.auth_query !== undefined && given.auth_user === undefined) {
    problems.add({ key: `${key}.auth_user`, found: 'nothing', accepted: 'a user name, since auth_query is given' });
  }
  checkPool(key, given.min_pool_size, given.default_pool_size ?? 10, 'default_pool_size', problems);
}

/** The system's own words for a path that is too long do not say what is wrong with it. */
function checkSocketPaths({ general, databases }: Sections, problems: ProblemList): void {
  const folders = [
    { key: `${general.key}.unix_socket_dir`, folder: general.given.unix_socket_dir, port: general.given.port ?? 6432 },
    ...databases.map(({ key, given: { host, port = 5432 } }) => {
      return { key: `${key}.host`, folder: host?.startsWith('/') === true ? host : undefined, port };
    }),
  ];
  for (const { key, folder, port } of folders) {
    if (folder === undefined) continue;
    const room = MAX_SOCKET_PATH - Buffer.byteLength(`/.s.PGSQL.${port}`);
    const length = Buffer.byteLength(folder);
    if (length <= room) continue;
    const accepted = `a folder of at most ${room} bytes: more than ${MAX_SOCKET_PATH} has no path of a unix socket`;
    problems.add({ key, found: `${length} bytes`, accepted });
  }
}

function checkDatabases(sections: Sections, problems: ProblemList): void {
  const seen = new Set<string>();
  const adminNames = new Set([sections.admin.given.name ?? 'pgmirror', 'pgbouncer']);
  for (const { key, given } of sections.databases) {
    if (given.name !== undefined) {
      if (seen.has(given.name)) {
        const accepted = 'a name that no other of [[databases]] has';
        problems.add({ key: `${key}.name`, found: quoted(given.name), accepted });
      }
      seen.add(given.name);
      if (adminNames.has(given.name)) {
        const names = [...adminNames].map(quoted).join(', ');
        const accepted = `a name other than the admin database's (${names})`;
        problems.add({ key: `${key}.name`, found: quoted(given.name), accepted });
      }
    }
    if (given.password !== undefined && given.user === undefined) {
      problems.add({ key: `${key}.user`, found: 'nothing', accepted: 'a user name, since password is given' });
    }
    const size = given.pool_size ?? sections.general.given.default_pool_size ?? 10;
    checkPool(
      key,
      given.min_pool_size,
      size,
      given.pool_size === undefined ? 'default_pool_size' : 'pool_size',
      problems,
    );
  }
}

function checkMirroring(sections: Sections, problems: ProblemList): void {
  const names = databaseNames(sections);
  const pairs = new Set<string>();
  for (const { key, given } of sections.mirroring) {
    const { source_db: source, destination_db: destination } = given;
    for (const [name, value] of [
      ['source_db', source],
      ['destination_db', destination],
    ] as const) {
      if (value === undefined || names.includes(value)) continue;
      problems.add({ key: `${key}.${name}`, found: quoted(value), accepted: oneOfDatabases(names) });
    }
    if (given.queue_length !== undefined && given.queue_depth !== undefined) {
      const accepted = 'queue_length alone, of which it is another spelling';
      problems.add({ key: `${key}.queue_depth`, found: `${given.queue_depth}`, accepted });
    }
    if (source === undefined || destination === undefined) continue;
    if (source === destination) {
      const accepted = 'a database other than source_db';
      problems.add({ key: `${key}.destination_db`, found: quoted(destination), accepted });
    }
    const pair = JSON.stringify([source, destination]);
    if (pairs.has(pair)) {
      const accepted = 'one [[mirroring]] for each source_db and destination_db';
      problems.add({ key, found: `${quoted(source)} to ${quoted(destination)} a second time`, accepted });
    }
    pairs.add(pair);
  }
}

function checkControls(sections: Sections, problems: ProblemList): void {
  for (const { key, given } of sections.mirroring) {
    const { control } = given;
    if (control === undefined || given.source_db === undefined) continue;
    const others = sections.mirroring
      .filter((other) => other.given.source_db === given.source_db)
      .map((other) => other.given.destination_db)
      .filter((name) => name !== undefined && name !== given.destination_db);
    if (others.includes(control)) continue;
    const listed = others.length === 0 ? 'there is none' : others.map((name) => quoted(name ?? '')).join(', ');
    const accepted = `another destination_db of ${databaseLabel(given.source_db)}: ${listed}`;
    problems.add({ key: `${key}.control`, found: quoted(control), accepted });
  }
}
