/**
 * Whether the long form of these tests is asked for, on a machine with time to spare: `PGMIRROR_COMPARE_TRANSACTIONS` is how many
 * transactions each workload has.
 */
export const isLong = process.env.PGMIRROR_COMPARE_TRANSACTIONS !== undefined;
