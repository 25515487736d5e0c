type Node = Readonly<Record<string, unknown>>;

const TABLE = 'OBJECT_TABLE';

/**
 * The relations that a definition (nodes.h) changes or builds on, where it concerns no others but what hangs on them by the
 * catalogs: it defines a table or an index, and nothing more by CASCADE. Undefined: it may concern any.
 */
export function definedRelations(name: string, definition: unknown): ReadonlySet<string> | undefined {
  if (!isNode(definition) || !isOfTables(name, definition)) return undefined;
  if (JSON.stringify(definition).includes('"behavior":"DROP_CASCADE"')) return undefined;
  const names = new Set<string>();
  gather(definition, names);
  if (name === 'DropStmt') for (const one of lastParts(definition.objects)) names.add(one);
  if (definition.renameType === TABLE && typeof definition.newname === 'string') names.add(definition.newname);
  return names;
}

function isOfTables(name: string, { objtype, removeType, renameType, relationType }: Node): boolean {
  switch (name) {
    case 'CreateStmt':
    case 'IndexStmt':
      return true;
    case 'AlterTableStmt':
      return objtype === TABLE;
    case 'DropStmt':
      return removeType === TABLE;
    case 'RenameStmt':
      return renameType === TABLE || (renameType === 'OBJECT_COLUMN' && relationType === TABLE);
    default:
      return false;
  }
}

function gather(node: unknown, into: Set<string>): void {
  if (Array.isArray(node)) for (const one of node) gather(one, into);
  if (!isNode(node)) return;
  for (const [name, value] of Object.entries(node)) {
    if (name === 'relname' && typeof value === 'string') into.add(value);
    else gather(value, into);
  }
}

/** The last part of each of several qualified names. */
function lastParts(objects: unknown): string[] {
  if (!Array.isArray(objects)) return [];
  return objects.flatMap((object) => {
    const { items } = isNode(object) && isNode(object.List) ? object.List : {};
    const last: unknown = Array.isArray(items) ? items.at(-1) : undefined;
    const { sval } = isNode(last) && isNode(last.String) ? last.String : {};
    return typeof sval === 'string' ? [sval] : [];
  });
}

function isNode(value: unknown): value is Node {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}
