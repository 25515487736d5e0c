import type { Connect } from './connect.ts';
import { ControlSession } from './control-session.ts';
import type { MirrorLogin, MirrorTargetConfig } from './mirror-process-messages.ts';
import type { PreparedTransactionsHost } from './prepared-transactions.ts';
import { serverLoginOf } from './target-options.ts';

type Rows = readonly (readonly (string | null)[])[];

const PREPARED = 'SELECT gid FROM pg_catalog.pg_prepared_xacts WHERE database = pg_catalog.current_database()';

/** Asks the servers themselves what is prepared there, each time on a login of its own. */
export function serversOf(
  host: { readonly connect: Connect; askSource(config: MirrorTargetConfig, sql: string): Promise<Rows> },
  mirror: { config(): MirrorTargetConfig; loginOf(user: string): MirrorLogin | undefined },
): Omit<PreparedTransactionsHost, 'settled'> {
  const askMirror = async (user: string, sql: string): Promise<Rows> => {
    const login = mirror.loginOf(user);
    if (login === undefined) throw new Error('no login is known any more');
    return ControlSession.with(host.connect, serverLoginOf(mirror.config(), login), async (session) =>
      session.query(sql),
    );
  };
  return {
    preparedOnSource: async () => firstColumn(await host.askSource(mirror.config(), PREPARED)),
    preparedOnMirror: async (user) => firstColumn(await askMirror(user, PREPARED)),
    onMirror: async (user, sql) => void (await askMirror(user, sql)),
  };
}

function firstColumn(rows: Rows): string[] {
  return rows.flatMap(([first]) => first ?? []);
}
