import { quoteLiteral } from '../../util/sql-quote.ts';

const OWN = "c.relnamespace NOT IN ('pg_catalog'::regnamespace, 'information_schema'::regnamespace)";
/** Words of a definition that give each server its own value. */
const GENERATES =
  "'now\\(|current_(date|time)|localtime|random|uuid|_timestamp\\(|timeofday|txid|current_xact|backend_pid|lastval|currval'";
/** Words of a function's body with which rows are changed, or what may change them is run. */
const WRITES = "'insert|update|delete|merge|truncate|copy|execute|perform|call|create|drop|alter|nextval|setval'";

const OPAQUE = `
  SELECT c.relname FROM pg_catalog.pg_class c WHERE ${OWN} AND (c.relkind IN ('v', 'm', 'f', 'p') OR c.relhasrules
    OR c.relhassubclass OR c.relispartition OR c.relrowsecurity
    OR EXISTS (SELECT FROM pg_catalog.pg_trigger t WHERE t.tgrelid = c.oid AND NOT t.tgisinternal)
    OR EXISTS (SELECT FROM pg_catalog.pg_constraint f WHERE f.contype = 'f' AND c.oid IN (f.confrelid, f.conrelid)
               AND (f.confdeltype IN ('c', 'n', 'd') OR f.confupdtype IN ('c', 'n', 'd'))))`;

/** One row for each column: oid and number, names of table and column, and whether a sequence gives its values. */
function generated(learnt: readonly string[]): string {
  const names = `ARRAY[${learnt.map(quoteLiteral).join(', ')}]::text[]`;
  const position = `(SELECT '#' || pg_catalog.count(*) FROM pg_catalog.pg_attribute b
    WHERE b.attrelid = a.attrelid AND b.attnum BETWEEN 1 AND a.attnum AND NOT b.attisdropped)`;
  return `
  WITH RECURSIVE own AS (
    SELECT c.oid, a.attnum::text AS col, c.relname, a.attname,
      CASE WHEN c.relname || ' ' || a.attname = ANY (${names}) OR c.relname || ' ' || ${position} = ANY (${names})
        OR pg_catalog.pg_get_expr(d.adbin, d.adrelid) ~* ${GENERATES} THEN 'own' ELSE 'sequence' END AS kind
    FROM pg_catalog.pg_attribute a JOIN pg_catalog.pg_class c ON c.oid = a.attrelid
      LEFT JOIN pg_catalog.pg_attrdef d ON d.adrelid = a.attrelid AND d.adnum = a.attnum
    WHERE ${OWN} AND a.attnum > 0 AND NOT a.attisdropped AND c.relkind IN ('r', 'p', 'f', 'm')
      AND (a.attidentity <> '' OR pg_catalog.pg_get_expr(d.adbin, d.adrelid) ~* ('nextval|' || ${GENERATES})
        OR c.relname || ' ' || a.attname = ANY (${names}) OR c.relname || ' ' || ${position} = ANY (${names}))
    UNION ALL SELECT c.oid, '*', c.relname, '*', 'own' FROM pg_catalog.pg_class c
    WHERE ${OWN} AND (c.relkind = 'f' OR c.relname || ' *' = ANY (${names})
      OR c.relkind IN ('v', 'm') AND pg_catalog.pg_get_viewdef(c.oid) ~* ${GENERATES}
      OR EXISTS (SELECT FROM pg_catalog.pg_trigger t JOIN pg_catalog.pg_proc p ON p.oid = t.tgfoid
                 WHERE t.tgrelid = c.oid AND NOT t.tgisinternal AND p.prosrc ~* ${GENERATES}))
  ), reach AS (
    SELECT oid, col, relname, attname, kind FROM own
    UNION SELECT v.oid, '*', v.relname, '*', reach.kind FROM reach
      JOIN pg_catalog.pg_depend d ON d.refobjid = reach.oid AND d.refclassid = 'pg_catalog.pg_class'::regclass
        AND d.classid = 'pg_catalog.pg_rewrite'::regclass
        AND (reach.col = '*' OR d.refobjsubid = 0 OR d.refobjsubid::text = reach.col)
      JOIN pg_catalog.pg_rewrite r ON r.oid = d.objid JOIN pg_catalog.pg_class v ON v.oid = r.ev_class AND v.oid <> reach.oid
  ) SELECT oid::text, col, relname, attname, kind FROM reach`;
}

const NEIGHBOURS = `
  SELECT DISTINCT one.relname, other.relname FROM pg_catalog.pg_constraint f
    JOIN pg_catalog.pg_class one ON one.oid = f.conrelid JOIN pg_catalog.pg_class other ON other.oid = f.confrelid
  WHERE f.contype = 'f' AND f.conrelid <> f.confrelid`;

const FUNCTIONS = `
  SELECT p.proname, pg_catalog.bool_or(CASE WHEN p.pronamespace = 'pg_catalog'::regnamespace THEN p.provolatile = 'v'
      ELSE p.provolatile <> 'i' AND (l.lanname NOT IN ('sql', 'plpgsql')
        OR COALESCE(pg_catalog.pg_get_function_sqlbody(p.oid), p.prosrc) ~* ('nextval|' || ${GENERATES})) END),
    pg_catalog.bool_or(p.pronamespace <> 'pg_catalog'::regnamespace AND p.provolatile <> 'i'),
    pg_catalog.bool_or(p.pronamespace <> 'pg_catalog'::regnamespace AND p.provolatile = 'v' AND (
      l.lanname NOT IN ('sql', 'plpgsql') OR COALESCE(pg_catalog.pg_get_function_sqlbody(p.oid), p.prosrc) ~* ${WRITES}))
  FROM pg_catalog.pg_proc p JOIN pg_catalog.pg_language l ON l.oid = p.prolang GROUP BY p.proname`;

const ISOLATION = `
  SELECT EXISTS (SELECT FROM pg_catalog.pg_db_role_setting s, pg_catalog.unnest(s.setconfig) one
                 WHERE one ~* '^default_transaction_isolation=(?!.?read committed)')
    OR pg_catalog.current_setting('default_transaction_isolation') <> 'read committed'`;

/** What a mirror is asked. `learnt`: columns that hold generated values though their definitions do not say so. */
export function catalogQueries(learnt: readonly string[]) {
  return {
    opaque: OPAQUE,
    generated: generated(learnt),
    neighbours: NEIGHBOURS,
    functions: FUNCTIONS,
    isolation: ISOLATION,
  };
}
