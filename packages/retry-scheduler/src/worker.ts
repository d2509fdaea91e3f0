/**
 * retry-scheduler: holds every retry record until it is due, then sends its bytes back to where they came from.
 *
 *   not due --> put back (no attempt, no memory bound) ... due --> sent back --acknowledged--> committed
 *
 * It is an ordinary worker whose topics come from the topology. Ordered by key: failures are tried in place, so it needs
 * no retry topics of its own, and the order of one key's retries is kept. Its handler has no real time limit: the only
 * thing it ever waits for is the broker, and while that is away nothing may become a dead letter.
 */

import { promisify } from 'node:util';
import { gunzip } from 'node:zlib';
import type { BytesSchema } from '@weir/sdk';
import {
  bytes,
  defineWorker,
  HEADER,
  PermanentError,
  rawHeaders,
  rawKey,
  rawStory,
  type Topic,
  type Topology,
  topic,
} from '@weir/sdk';
import { retrySchedulerConfig } from './config.ts';
import { dueAt } from './due.ts';
import { routesOf, targetOf } from './routes.ts';
import { forwardedStory } from './story.ts';

const NAME = 'retry-scheduler';
const unpack = promisify(gunzip);

/** @throws TopologyInvalidError when no worker of the topology has a retry topic */
export function retryScheduler(topology: Topology) {
  const routes = routesOf(topology, NAME);
  const byTopic = new Map(routes.map((route) => [route.topic, route]));
  const produces: Record<string, Topic<BytesSchema>> = {};
  for (const target of routes.flatMap((route) => route.targets)) {
    const { declared, partitions, maxMessageBytes } = target;
    produces[declared] = topic(declared, bytes, { partitions, maxMessageBytes });
  }

  return defineWorker({
    name: NAME,
    consumes: routes.map(({ declared, partitions, maxMessageBytes }) =>
      topic(declared, bytes, { partitions, maxMessageBytes }),
    ),
    produces,
    order: 'key',
    concurrency: { start: 64, max: 64 },
    timeout: '12h',
    scaling: { min: 1 },
    config: retrySchedulerConfig,

    async handle(record, ctx) {
      const route = byTopic.get(record.topic);
      if (!route) throw new PermanentError(`topic ${record.topic} is no retry topic of the topology`);
      const story = rawStory(record);
      const now = ctx.clock.now();
      const due = dueAt(story[HEADER.dueAt], record.timestamp, route.delayMs, now);
      if (due > now) {
        ctx.notBefore(due);
        return;
      }
      const value = await originalBytes(record.value, story[HEADER.encoding]);
      await ctx.send(targetOf(route, story[HEADER.origin]).declared, value, {
        key: rawKey(record),
        headers: rawHeaders(record),
        story: forwardedStory(story, route.group),
      });
    },
  });
}

/** What did not fit the retry topic was compressed on its way in, or only pointed to. */
async function originalBytes(value: Buffer, encoding: string | undefined): Promise<Buffer> {
  if (encoding === 'gzip') return unpack(value);
  if (encoding === 'pointer') {
    throw new PermanentError('the record was too large for its retry topic; only a pointer to its origin is left');
  }
  return value;
}
