import { topicOf, topologyOfWorkers, workerOf } from '@weir/sdk/testing';
import { expect, test } from 'vitest';
import { routesOf, targetOf } from './routes.ts';

test('every retry topic of every worker but its own has a route', () => {
  const topology = topologyOfWorkers(workerOf('a'), workerOf('b', { retry: [] }), workerOf('retry-scheduler'));
  expect(
    routesOf(topology, 'retry-scheduler').map(({ topic, declared, group, delayMs }) => [
      topic,
      declared,
      group,
      delayMs,
    ]),
  ).toEqual([
    ['xact.a.retry.5m', 'a.retry.5m', 'xact-a', 300_000],
    ['xact.a.retry.10m', 'a.retry.10m', 'xact-a', 600_000],
  ]);
});

test('a retry topic takes 64 KiB more than the largest origin', () => {
  const big = { ...topicOf('big'), maxMessageBytes: 5_000_000 };
  const [route] = routesOf(topologyOfWorkers(workerOf('a', { consumes: [topicOf('small'), big] })), 'x');
  expect(route?.maxMessageBytes).toBe(5_000_000 + 65_536);
});

test('an origin chooses among the owner’s topics and can name no other', () => {
  const consumes = [topicOf('one'), topicOf('two')];
  const [route] = routesOf(topologyOfWorkers(workerOf('a', { consumes })), 'x');
  expect(targetOf(route!, 'xact.two/3/7').declared).toBe('two');
  for (const origin of [undefined, '', 'xact.other/0/0', 'xact.two', '/', 'nonsense']) {
    expect(targetOf(route!, origin).declared, String(origin)).toBe('one');
  }
});

test('a topology without retry topics is refused with what to do', () => {
  expect(() => routesOf(topologyOfWorkers(workerOf('a', { retry: [] })), 'x')).toThrow(/WEIR_TOPOLOGY/);
});
