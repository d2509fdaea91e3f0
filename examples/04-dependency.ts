/**
 * A dependency with a circuit breaker of its own for each key. One host goes down: its breaker opens, its records wait in
 * memory and cost no attempts, and the records of other hosts go on. When the host is back, so are its records.
 *
 * Run:
 *   npx node --conditions=source examples/04-dependency.ts
 *
 * You will see:
 *   b is down: 20 pages of a, 0 of b, calls of b stopped at the breaker
 *   b is back: 20 pages of a, 20 of b, 0 dead letters, 0 retries used
 */
import { defineWorker, RetryableError, topic } from '@weir/sdk';
import { testWorker } from '@weir/sdk/testing';
import { z } from 'zod';

const Page = z.object({ host: z.string(), path: z.string() });
const pages = topic('pages', Page, { partitions: 1 });
const fetched = topic('pages.fetched', Page.extend({ attempt: z.number() }), { partitions: 1 });

let bIsUp = false;
let callsOfB = 0;
/** Stands for a request over the network. */
async function request(host: string): Promise<void> {
  if (host === 'b') callsOfB++;
  if (host === 'b' && !bIsUp) throw new RetryableError('connection refused');
}

export const crawler = defineWorker({
  name: 'crawler',
  consumes: pages,
  produces: { fetched },
  concurrency: { fixed: 4 },
  dependencies: { hosts: { keyed: true, timeout: '10s' } },
  async handle({ value: page, attempt }, ctx) {
    // Throws DependencyDownError without calling while the breaker of this host is open: let it pass.
    await ctx.call('hosts', page.host, () => request(page.host));
    await ctx.send('fetched', { ...page, attempt });
  },
});

if (import.meta.main) {
  await using t = await testWorker(crawler);
  for (let page = 0; page < 20; page++) for (const host of ['a', 'b']) await t.send({ host, path: `/${page}` });
  await t.advance('10s');
  const of = (host: string) => t.sent('fetched').filter((page) => page.host === host);
  const stopped = callsOfB < 20 ? 'calls of b stopped at the breaker' : `b was called ${callsOfB} times`;
  console.log(`b is down: ${of('a').length} pages of a, ${of('b').length} of b, ${stopped}`);

  bIsUp = true;
  await t.advance('1m');
  const retries = t.sent('fetched').reduce((sum, page) => sum + page.attempt, 0);
  const { length } = t.deadLetters();
  console.log(
    `b is back: ${of('a').length} pages of a, ${of('b').length} of b, ${length} dead letters, ${retries} retries used`,
  );
}
