import { ServerPassword } from '../../auth/server-password.ts';
import type { Config } from '../../config/config.ts';
import { ControlSession } from '../../mirror/replay/control-session.ts';
import { connectServer } from '../../pool/connect-server.ts';
import type { ServerLogin } from '../../pool/connect-server.ts';
import { printable } from './words.ts';

const TIMEOUT_MS = 20_000;

interface PlanLine {
  readonly side: string;
  readonly database: string;
  readonly plan: string;
}

/** For a terminal: what a plan names was named by whoever sent the query. */
export function plansText(rows: readonly PlanLine[]): string {
  const sides = Map.groupBy(rows, ({ side, database }) => `${side} ${database}`);
  return [...sides]
    .map(([title, lines]) => `${printable(title)}\n${lines.map(({ plan }) => `  ${printable(plan)}\n`).join('')}`)
    .join('\n');
}

/** The plans of a query on both sides, through the admin database. Rejects with what that answered. */
export async function explainOverAdmin(config: Config, password: string, fingerprint: string): Promise<string> {
  const rows = await ControlSession.with(connectServer, adminLogin(config, password), async (session) =>
    session.query(`EXPLAIN ${fingerprint}`),
  );
  return plansText(
    rows.map(([side, database, plan]) => ({ side: side ?? '', database: database ?? '', plan: plan ?? '' })),
  );
}

function adminLogin({ general, admin }: Config, password: string): ServerLogin {
  const { host, port, tls_certificate: certificate } = general;
  // Whoever it is that answers there is shown that the password is known, and not the password: whose certificate it has
  // does not matter.
  const encrypted = { verify: 'require', ca: undefined, certificate: undefined, privateKey: undefined } as const;
  return {
    address: { host: host === '0.0.0.0' || host === '::' ? 'localhost' : host, port },
    tls: certificate === undefined ? undefined : encrypted,
    database: admin.name,
    user: admin.user,
    password: ServerPassword.fromText(password, { isForProof: true }),
    parameters: {},
    timeoutMs: TIMEOUT_MS,
  };
}
