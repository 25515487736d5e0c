import { shopSize } from './schema.ts';
import type { ShopClient } from './shop-client.ts';

/** One transaction of the sample application; resolves with how it ended. */
type ShopTransaction = (shop: ShopClient) => Promise<'committed' | 'rolledBack'>;

/** Does one transaction of the application, chosen at random. */
export async function transact(shop: ShopClient): Promise<void> {
  shop.ended(await shop.random.weighted(transactions)(shop));
}

const insertOrder = "INSERT INTO orders (id, customer_id, status, placed_at) VALUES ($1, $2, 'open', $3)";
const insertLine = 'INSERT INTO order_lines (order_id, line, product_id, quantity, price) VALUES ($1, $2, $3, $4, $5)';
const takeFromStock = 'UPDATE products SET stock = stock - $2 WHERE id = $1';

const browse: ShopTransaction = async (shop) => {
  const category = `category ${shop.random.between(0, 19)}`;
  const listing = 'SELECT id, name, price FROM products WHERE category = $1 ORDER BY price, id LIMIT 20';
  await shop.prepared('products of a category', listing, [category]);
  return 'committed';
};

const lookAtProduct: ShopTransaction = async (shop) => {
  await shop.prepared('product', 'SELECT * FROM products WHERE id = $1', [product(shop)]);
  return 'committed';
};

/** Several statements in one simple query are one transaction. */
const dashboard: ShopTransaction = async (shop) => {
  await shop.query("SELECT count(*) FROM orders WHERE status = 'open'; SELECT max(price), min(stock) FROM products");
  return 'committed';
};

const showAccount: ShopTransaction = async (shop) => {
  const id = customer(shop);
  await shop.query('BEGIN READ ONLY');
  await shop.query({ text: 'SELECT name, email, orders_placed FROM customers WHERE id = $1', values: [id] });
  await shop.think();
  await shop.query({
    text: `SELECT o.id, o.status, sum(l.quantity * l.price) FROM orders o JOIN order_lines l ON l.order_id = o.id
           WHERE o.customer_id = $1 GROUP BY o.id ORDER BY o.placed_at DESC LIMIT 10`,
    values: [id],
  });
  await shop.query('COMMIT');
  return 'committed';
};

/**
 * Clients lock what they share in one order (products by id, then the customer) and change it in a way that does not depend
 * on who was first: nothing deadlocks, and any order of the transactions leaves the same rows.
 */
const placeOrder: ShopTransaction = async (shop) => {
  const order = shop.nextOrder();
  const buyer = customer(shop);
  await shop.query('BEGIN');
  await shop.prepared('customer', 'SELECT name, city FROM customers WHERE id = $1', [buyer]);
  await shop.think();
  await shop.prepared('insert order', insertOrder, [order, buyer, new Date()]);
  for (const [line, id] of products(shop).entries()) {
    const quantity = shop.random.between(1, 5);
    await shop.prepared('insert line', insertLine, [order, line + 1, id, quantity, price(id)]);
    await shop.prepared('take from stock', takeFromStock, [id, quantity]);
  }
  await shop.think();
  await shop.query({ text: 'UPDATE customers SET orders_placed = orders_placed + 1 WHERE id = $1', values: [buyer] });
  await shop.query('COMMIT');
  shop.orders.push(order);
  return 'committed';
};

const payOrder: ShopTransaction = async (shop) => {
  const order = shop.orders.at(-shop.random.between(1, 5)) ?? 0;
  const pay = "UPDATE orders SET status = 'paid', paid_at = $2 WHERE id = $1 AND status = 'open'";
  await shop.prepared('pay order', pay, [order, new Date()]);
  return 'committed';
};

const changeMind: ShopTransaction = async (shop) => {
  await shop.query('BEGIN');
  await shop.prepared('insert order', insertOrder, [shop.nextOrder(), customer(shop), new Date()]);
  await shop.prepared('take from stock', takeFromStock, [product(shop), 1]);
  await shop.think();
  await shop.query('ROLLBACK');
  return 'rolledBack';
};

/** An id used twice: the block fails, and the driver's COMMIT becomes a rollback. */
const repeatOrder: ShopTransaction = async (shop) => {
  const order = shop.orders.at(-1) ?? 1;
  await shop.query('BEGIN');
  await shop.prepared('take from stock', takeFromStock, [product(shop), 1]);
  await shop.queryThatFails({ text: insertOrder, values: [order, customer(shop), new Date()] }, '23505');
  await shop.query('COMMIT');
  return 'rolledBack';
};

/** A line that breaks a constraint is taken back to the savepoint; the order stands. */
const correctOrder: ShopTransaction = async (shop) => {
  const order = shop.nextOrder();
  const id = product(shop);
  await shop.query('BEGIN');
  await shop.prepared('insert order', insertOrder, [order, customer(shop), new Date()]);
  await shop.query('SAVEPOINT before_line');
  await shop.queryThatFails({ text: insertLine, values: [order, 1, id, 0, price(id)] }, '23514');
  await shop.query('ROLLBACK TO SAVEPOINT before_line');
  await shop.think();
  await shop.prepared('insert line', insertLine, [order, 1, id, 1, price(id)]);
  await shop.query('COMMIT');
  shop.orders.push(order);
  return 'committed';
};

const cancelOrder: ShopTransaction = async (shop) => {
  const order = shop.orders.shift() ?? 0;
  await shop.query('BEGIN');
  await shop.query({ text: 'DELETE FROM order_lines WHERE order_id = $1', values: [order] });
  await shop.think();
  await shop.query({ text: 'DELETE FROM orders WHERE id = $1', values: [order] });
  await shop.query('COMMIT');
  return 'committed';
};

/** A large order, its lines with COPY. */
const importOrder: ShopTransaction = async (shop) => {
  const order = shop.nextOrder();
  const rows = Array.from({ length: shop.random.between(20, 100) }, (_, index) => {
    const id = product(shop);
    return `${order}\t${index + 1}\t${id}\t${shop.random.between(1, 9)}\t${price(id)}\n`;
  });
  await shop.query('BEGIN');
  await shop.prepared('insert order', insertOrder, [order, customer(shop), new Date()]);
  await shop.copyIn('COPY order_lines (order_id, line, product_id, quantity, price) FROM STDIN', rows.join(''));
  await shop.query('COMMIT');
  shop.orders.push(order);
  return 'committed';
};

/** How often each kind comes, out of 100. */
const transactions: readonly (readonly [number, ShopTransaction])[] = [
  [26, browse],
  [18, lookAtProduct],
  [3, dashboard],
  [10, showAccount],
  [20, placeOrder],
  [8, payOrder],
  [5, changeMind],
  [2, repeatOrder],
  [3, correctOrder],
  [3, cancelOrder],
  [2, importOrder],
];

function customer(shop: ShopClient): number {
  return shop.random.between(1, shopSize.customers);
}

function product(shop: ShopClient): number {
  return shop.random.between(1, shopSize.products);
}

/** One to four products, none twice, in the order of their ids. */
function products(shop: ShopClient): number[] {
  const chosen = new Set(Array.from({ length: shop.random.between(1, 4) }, () => product(shop)));
  return [...chosen].toSorted((a, b) => a - b);
}

/** What the schema gives a product for its price. */
function price(id: number): string {
  return `${1 + (id % 300)}.99`;
}
