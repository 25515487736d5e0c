/** Where a helper registers what undoes it: a test's context, `{ after }` of node:test for a file or suite, or what follows. */
export interface Cleanup {
  after(undo: () => void | Promise<void>): void;
}

/**
 * The same, run backwards: node:test runs its `after` hooks first come, first served, but a pooler is to be stopped before the
 * server it was started for. All are run; the first error is thrown at the end.
 * `const cleanup = inReverse({ after });`
 */
export function inReverse(hooks: Cleanup): Cleanup {
  const undoing: (() => void | Promise<void>)[] = [];
  hooks.after(async () => {
    const errors: unknown[] = [];
    for (let undo = undoing.pop(); undo !== undefined; undo = undoing.pop()) {
      try {
        await undo();
      } catch (error) {
        errors.push(error);
      }
    }
    if (errors.length > 0) throw errors[0];
  });
  return { after: (undo) => void undoing.push(undo) };
}
