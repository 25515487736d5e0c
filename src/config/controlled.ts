import type { MirroringConfig } from './mirroring-schema.ts';

/** The mirror whose `control` this one is: it takes the same transactions, and what differs on it, too, is noise. */
export function controlled(mirrors: readonly MirroringConfig[], mirror: MirroringConfig): MirroringConfig | undefined {
  const { source_db: source, destination_db: destination } = mirror;
  return mirrors.find((other) => other.source_db === source && other.control === destination);
}
