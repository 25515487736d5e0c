/** A value in an answer of the admin database; a number is shown as an integer where it is one. */
export type AdminValue = string | number | boolean | null;

/** What the admin database answers to one command. */
export type AdminAnswer =
  | {
      readonly kind: 'rows';
      readonly tag: string;
      readonly columns: readonly AdminColumn[];
      readonly rows: readonly (readonly AdminValue[])[];
    }
  | { readonly kind: 'done'; readonly tag: string; readonly notice?: string }
  | { readonly kind: 'error'; readonly code: string; readonly message: string; readonly hint?: string };

/** A column and its PostgreSQL type. */
export interface AdminColumn {
  readonly name: string;
  readonly type: 'text' | 'int8' | 'int4' | 'numeric' | 'float8' | 'bool';
}
