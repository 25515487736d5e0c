/** How many rows the shop begins with. */
export const shopSize = { customers: 4_000, products: 800, orders: 40_000, linesOfAnOrder: 3 } as const;

/** Tables of the shop, with what makes a row of each its own. */
export const shopTables: readonly { readonly name: string; readonly key: string }[] = [
  { name: 'customers', key: 'id' },
  { name: 'products', key: 'id' },
  { name: 'orders', key: 'id' },
  { name: 'order_lines', key: 'order_id, line' },
];

/**
 * The shop: tables and a few ten thousand rows. Every value is computed from its row's number, so that source and mirror
 * begin alike, and nothing in it makes values of its own (no sequence, no `now()`): what two databases make for
 * themselves differs.
 */
export const shopSchema = `
CREATE TABLE customers (
  id bigint PRIMARY KEY, name text NOT NULL, email text NOT NULL UNIQUE, city text NOT NULL,
  orders_placed integer NOT NULL DEFAULT 0, joined_at timestamptz NOT NULL);
CREATE TABLE products (
  id bigint PRIMARY KEY, name text NOT NULL, category text NOT NULL, price numeric(10,2) NOT NULL CHECK (price > 0),
  stock integer NOT NULL);
CREATE TABLE orders (
  id bigint PRIMARY KEY, customer_id bigint NOT NULL REFERENCES customers, status text NOT NULL,
  placed_at timestamptz NOT NULL, paid_at timestamptz, note text NOT NULL DEFAULT '');
CREATE TABLE order_lines (
  order_id bigint NOT NULL REFERENCES orders ON DELETE CASCADE, line integer NOT NULL,
  product_id bigint NOT NULL REFERENCES products, quantity integer NOT NULL CHECK (quantity > 0),
  price numeric(10,2) NOT NULL, PRIMARY KEY (order_id, line));

INSERT INTO customers
SELECT n, 'Customer ' || n, 'customer' || n || '@example.com', (ARRAY['Aarhus','Bergen','Cádiz','Dresden','Évora'])[n % 5 + 1],
       0, timestamptz '2024-01-01 00:00:00+00' + n * interval '1 hour'
FROM generate_series(1, ${shopSize.customers}) n;
INSERT INTO products
SELECT n, 'Product ' || n, 'category ' || n % 20, 1 + n % 300 + 0.99, 1000000
FROM generate_series(1, ${shopSize.products}) n;
INSERT INTO orders
SELECT n, n * 7919 % ${shopSize.customers} + 1, CASE n % 3 WHEN 0 THEN 'open' ELSE 'paid' END,
       timestamptz '2025-01-01 00:00:00+00' + n * interval '1 minute',
       CASE n % 3 WHEN 0 THEN NULL ELSE timestamptz '2025-01-01 00:10:00+00' + n * interval '1 minute' END,
       repeat('Please leave it with the neighbours. ', 12)
FROM generate_series(1, ${shopSize.orders}) n;
INSERT INTO order_lines
SELECT n, line, (n * 31 + line * 17) % ${shopSize.products} + 1, n % 4 + 1, 1 + (n * 31 + line * 17 + 1) % 300 + 0.99
FROM generate_series(1, ${shopSize.orders}) n, generate_series(1, ${shopSize.linesOfAnOrder}) line;

CREATE INDEX ON products (category, price);
CREATE INDEX orders_of_customer ON orders (customer_id);
CREATE INDEX ON order_lines (product_id);
ANALYZE;
`;

/** What sets the mirror apart: somebody forgot an index, and the report is to find out. */
export const forgottenIndex = 'orders_of_customer';
