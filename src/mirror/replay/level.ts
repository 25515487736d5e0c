import { Effect } from './statement-effects.ts';

/** Which transactions a mirror takes, judged over every statement of the transaction. */
export type Level = 'all' | 'read' | 'write' | 'dml' | 'ddl';

/** Whether a transaction of these effects is one for this level. One that only begins and ends counts as a read. */
export function suitsLevel(level: Level, effects: number): boolean {
  switch (level) {
    case 'all':
      return true;
    case 'read':
      return (effects & (Effect.Write | Effect.Ddl)) === 0;
    case 'write':
      return (effects & (Effect.Write | Effect.Ddl)) !== 0;
    case 'dml':
      return (effects & Effect.Ddl) === 0;
    case 'ddl':
      return effects === Effect.Ddl;
  }
}
