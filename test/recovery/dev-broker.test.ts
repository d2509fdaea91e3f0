/** The recovery suite on the development broker, and what only a broker that can be told to fail shows. */
import { type Broker, startBroker } from '@weir/dev-broker';
import { expect, test } from 'vitest';
import { until } from '../support/until.ts';
import { recoverySuite } from './recovery-suite.ts';

let broker: Broker;
const open = recoverySuite('the development broker', async () => {
  broker = await startBroker({ port: 0, nodes: 3 });
  return broker;
});

test('a coordinator that moves under load costs no member its partitions for long, and no record', async () => {
  const crew = await open(4);
  await crew.hire();
  await crew.hire();
  crew.load(200);
  await until('it flows', () => crew.handled.size > 200);
  for (const node of [1, 2, 3]) {
    broker.faults.moveCoordinator(crew.group, node);
    const handled = crew.handled.size;
    await until('it flows on', () => crew.handled.size > handled + 200);
  }
  await crew.rest();
  await crew.allHandled();
  expect(crew.repeats).toBeLessThan(60);
  expect(await crew.failed()).toBe(0);
}, 60_000);
