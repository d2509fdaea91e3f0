import { describe, expect, expectTypeOf, test } from 'vitest';
import { z } from 'zod';
import { bytes, defineWorker, topic } from './define.ts';
import { DeclarationError } from './errors.ts';

const orders = topic('orders', z.object({ id: z.string(), amount: z.coerce.number() }), {
  partitions: 4,
  key: (order) => order.id,
});
const raw = topic('raw', bytes, { partitions: 1 });

describe('types', () => {
  test('the handler gets the schema’s output, send takes its input, names are checked', () => {
    defineWorker({
      name: 'typed',
      consumes: orders,
      produces: { orders, raw },
      dependencies: { db: {}, hosts: { keyed: true } },
      config: z.object({ LIMIT: z.coerce.number().default(1) }),
      async open({ config }) {
        expectTypeOf(config).toEqualTypeOf<{ LIMIT: number }>();
        return { table: 'x' };
      },
      async handle({ value }, ctx) {
        expectTypeOf(value).toEqualTypeOf<{ id: string; amount: number }>();
        expectTypeOf(ctx.resources).toEqualTypeOf<{ table: string }>();
        expectTypeOf(ctx.config.LIMIT).toEqualTypeOf<number>();
        await ctx.send('orders', { id: value.id, amount: '5' });
        await ctx.send('raw', Buffer.from('x'));
        await ctx.call('db', async () => 1);
        await ctx.call('hosts', 'example.org', async () => 1);
        // @ts-expect-error a topic that the declaration does not name
        ctx.send('nowhere', {}).catch(() => undefined);
        // @ts-expect-error a keyed dependency needs its key
        ctx.call('hosts', async () => 1).catch(() => undefined);
      },
    });
  });

  test('a list of topics gives the union of their values', () => {
    defineWorker({
      name: 'both',
      consumes: [orders, raw],
      async handle({ value }) {
        expectTypeOf(value).toEqualTypeOf<{ id: string; amount: number } | Buffer>();
      },
    });
  });
});

describe('a declaration that cannot work is refused with every problem at once', () => {
  test('names, durations, bounds', () => {
    const declare = () =>
      defineWorker({
        name: 'Bad Name',
        consumes: [orders, orders],
        concurrency: { start: 10, max: 5 },
        timeout: '5 minutes' as '5m',
        retry: { delays: ['10m', '5m'] },
        handle: async () => {},
      });
    expect(declare).toThrow(DeclarationError);
    expect(declare).toThrow(/name:.*named twice.*above concurrency.max.*5 minutes.*longer than the one before/s);
  });

  test('a topic without partitions or with a name that Kafka refuses', () => {
    expect(() => topic('a b', bytes, { partitions: 0 })).toThrow(/topic name.*partitions/);
  });
});
