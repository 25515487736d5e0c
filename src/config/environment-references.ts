import type { Problem } from './problem.ts';

/** `${NAME}`, an unfinished or misspelt `${`, or `$${`, which stands for a literal `${`. */
const REFERENCE = /\$\$\{|\$\{([^}]*)(\}?)/g;
const NAME = /^[A-Za-z_][A-Za-z0-9_]*$/;
const LITERAL = '${';

/** A variable that is not set, or a reference that is none, at a path of keys and list positions. */
export interface ReferenceProblem extends Omit<Problem, 'key'> {
  readonly path: readonly (string | number)[];
}

/**
 * A copy of the TOML value `value` in which every `${NAME}` in a string is the environment variable's value.
 * What is put in is not looked at again, so a variable may itself hold `${`.
 */
export function resolveReferences(
  value: unknown,
  environment: NodeJS.ProcessEnv,
  problems: ReferenceProblem[],
  path: readonly (string | number)[] = [],
): unknown {
  if (typeof value === 'string')
    return resolveString(value, environment, (problem) => problems.push({ ...problem, path }));
  if (Array.isArray(value)) {
    return value.map((item, index) => resolveReferences(item, environment, problems, [...path, index]));
  }
  if (typeof value !== 'object' || value === null || value instanceof Date) return value;
  // A null prototype, as the parser's tables have it: a key named `__proto__` stays a key.
  const copy: Record<string, unknown> = Object.create(null) as Record<string, unknown>;
  for (const [key, item] of Object.entries(value)) {
    copy[key] = resolveReferences(item, environment, problems, [...path, key]);
  }
  return copy;
}

function resolveString(
  text: string,
  environment: NodeJS.ProcessEnv,
  report: (problem: Omit<Problem, 'key'>) => void,
): string {
  return text.replaceAll(REFERENCE, (whole, name: string | undefined, end: string | undefined) => {
    if (name === undefined) return LITERAL;
    if (end !== '}' || !NAME.test(name)) {
      report({ found: 'a ${ without a variable name and }', accepted: '${NAME}, or $${ for a literal ${' });
      return whole;
    }
    const value = environment[name];
    if (value === undefined) {
      report({ found: `\${${name}}, which is not set`, accepted: 'the name of an environment variable that is set' });
    }
    return value ?? whole;
  });
}
