import type { AdminConfig } from './admin-schema.ts';
import type { DatabaseConfig } from './database-schema.ts';
import type { GeneralConfig } from './general-schema.ts';
import type { MirroringConfig } from './mirroring-schema.ts';
import type { TlsConfig } from './tls-files.ts';
import type { UserConfig } from './user-schema.ts';

/** Both files, checked and with every default filled in; frozen all the way down. */
export interface Config {
  readonly files: { readonly config: string; readonly users: string };
  readonly general: GeneralConfig;
  /** What the files named by `general.tls_…` hold. */
  readonly tls: TlsConfig;
  readonly admin: AdminConfig;
  readonly databases: readonly DatabaseConfig[];
  readonly mirroring: readonly MirroringConfig[];
  readonly users: readonly UserConfig[];
  /** Dotted keys that the files themselves set, such as `mirroring[app -> app_new].exposure`. */
  readonly given: readonly string[];
}
