/** Whom tests log in as where it does not matter who: as `WireClient.login` takes it, */
export const alice = { user: 'alice', database: 'app', password: 'alice-password' } as const;

/** and her entry in users.toml. */
export const aliceEntry = { name: alice.user, database: alice.database, password: alice.password } as const;
