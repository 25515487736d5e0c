/** The page and its Content-Security-Policy. */
export const PAGE = { html: '<!doctype html><title>pgmirror</title>', policy: "default-src 'none'" };
