import { query } from '../../support/bytes.ts';
import { WireClient, type WireAddress } from '../../support/wire-client.ts';

/** In a block, cancels queries just as they end; throws where that hits the query behind one. */
export async function cancelAsTheyEnd(client: WireClient, address: WireAddress, rounds: number): Promise<void> {
  await client.query('BEGIN');
  for (let round = 0; round < rounds; round += 1) {
    client.send(query('SELECT pg_sleep(0.002)'));
    const cancelling = WireClient.cancel(address, client.processId, client.secretKey);
    const answered = await client.readUntil('Z');
    await cancelling;
    if (answered.some(({ type }) => type === 'E')) await client.query('ROLLBACK AND CHAIN');
    client.send(query('SELECT 1'));
    await client.expect('T', 'D', 'C', 'Z');
  }
  await client.query('ROLLBACK');
}
