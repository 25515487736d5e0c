import { z } from 'zod';
import { text, type Resolved } from './schema-parts.ts';

/** `[admin]`. */
export const adminSchema = z.strictObject({
  /** Name of the admin database. */
  name: text().default('pgmirror'),
  user: text().default('admin'),
  /** Without one the admin database is off. */
  password: text().optional(),
});

/** `[admin]` with its defaults. */
export type AdminConfig = Resolved<typeof adminSchema>;
