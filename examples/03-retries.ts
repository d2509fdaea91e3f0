/**
 * Failures have a place: an error that may pass is retried later, one delay per retry topic, while the records behind it
 * go on; an error that will not pass, or has used up its retries, ends as a dead letter, and `onDeadLetter` can say so.
 * A clock that stands still until it is moved shows in a moment what takes a quarter of an hour.
 *
 * Run:
 *   npx node --conditions=source examples/03-retries.ts
 *
 * You will see:
 *   at first      charged: inv-2
 *   after 5 min   charged: inv-2, inv-1
 *   after 15 min  given up: inv-3 after 3 calls
 *
 * The bank refuses `inv-1` once and `inv-3` always. Two delays mean three calls.
 */
import { defineWorker, RetryableError, topic } from '@weir/sdk';
import { testWorker } from '@weir/sdk/testing';
import { z } from 'zod';

const Invoice = z.object({ id: z.string() });
const invoices = topic('invoices', Invoice, { partitions: 1, key: (invoice) => invoice.id });
const charged = topic('invoices.charged', Invoice, { partitions: 1 });
const givenUp = topic('invoices.given-up', Invoice.extend({ calls: z.number() }), { partitions: 1 });

/** Stands for a bank that is busy now and then. */
const refusals: Record<string, number> = { 'inv-1': 1, 'inv-3': Number.POSITIVE_INFINITY };

export const charger = defineWorker({
  name: 'charger',
  consumes: invoices,
  produces: { charged, givenUp },
  retry: { delays: ['5m', '10m'] },
  async handle({ value: invoice, attempt }, ctx) {
    if (attempt < (refusals[invoice.id] ?? 0)) throw new RetryableError('the bank is busy');
    await ctx.send('charged', invoice);
  },
  async onDeadLetter({ value: invoice }, reason, ctx) {
    await ctx.send('givenUp', { id: invoice.id, calls: reason.attempts });
  },
});

if (import.meta.main) {
  await using t = await testWorker(charger);
  const print = (when: string) => {
    const done = t.sent('charged').map((invoice) => invoice.id);
    console.log(`${when}charged: ${done.join(', ')}`);
  };
  await t.send({ id: 'inv-1' });
  await t.send({ id: 'inv-2' });
  await t.send({ id: 'inv-3' });
  print('at first      ');
  await t.advance('5m');
  print('after 5 min   ');
  await t.advance('10m');
  for (const { id, calls } of t.sent('givenUp')) console.log(`after 15 min  given up: ${id} after ${calls} calls`);
}
