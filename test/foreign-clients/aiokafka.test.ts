/** Python's aiokafka against the dev broker: a client that shares no code with kafkajs or librdkafka. */
import { join } from 'node:path';
import { type Broker, startBroker } from '@weir/dev-broker';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { Running, run } from './command.ts';
import { pythonVenv } from './python-venv.ts';
import { skipWithout } from './requirement.ts';

const venv = await pythonVenv('aiokafka==0.12.0');
const skip = skipWithout('aiokafka', venv.python !== undefined, venv.problem);
const SCRIPT = join(import.meta.dirname, 'aiokafka_client.py');

type Line = Record<string, unknown>;
const parse = (text: string): Line[] =>
  text
    .split('\n')
    .filter((line) => line.startsWith('{'))
    .map((line) => JSON.parse(line) as Line);

describe.skipIf(skip)('aiokafka', () => {
  let broker: Broker;
  const running: Running[] = [];
  beforeEach(async () => {
    broker = await startBroker({ nodes: 2 });
    broker.createTopic('t', { partitions: 4 });
  });
  afterEach(async () => {
    for (const each of running.splice(0)) await each.end('SIGKILL');
    await broker.stop();
  });
  const client = async (command: string, ...args: string[]) => {
    const finished = await run(venv.python!, [SCRIPT, command, broker.brokers.join(','), ...args]);
    expect(finished.code, finished.stderr).toBe(0);
    return parse(finished.stdout);
  };
  const member = () => {
    const each = new Running(venv.python!, [SCRIPT, 'member', broker.brokers.join(','), 'g', 't']);
    running.push(each);
    return each;
  };
  /** The partitions a member was given last. */
  const assigned = (lines: readonly string[]) =>
    parse(lines.join('\n'))
      .filter((line) => 'assigned' in line)
      .at(-1)?.assigned as number[] | undefined;

  test('lists topics with their partitions', async () => {
    expect(await client('list')).toEqual([{ topic: 't', partitions: 4 }]);
  });

  test('what it produces it consumes, keys and headers included', async () => {
    const sent = await client('produce', 't', '40');
    expect(sent).toHaveLength(40);
    const got = await client('consume', 't', '40');
    const wanted = Array.from({ length: 40 }, (_, index) => `k${index}=v${index} aiokafka`);
    const seen = got.map(({ key, value, headers }) => `${key}=${value} ${(headers as { from: string }).from}`);
    expect(seen.sort()).toEqual(wanted.sort());
  });

  test('two members share the partitions, the last one gets all, and offsets are committed', async () => {
    await client('produce', 't', '40');
    const first = member();
    await first.until((lines) => (assigned(lines)?.length === 4 ? true : undefined), 'assignment of all partitions');
    const second = member();
    await second.until((lines) => (assigned(lines)?.length === 2 ? true : undefined), 'half of the partitions');
    await first.until((lines) => (assigned(lines)?.length === 2 ? true : undefined), 'the other half');
    expect([...assigned(first.lines)!, ...assigned(second.lines)!].sort()).toEqual([0, 1, 2, 3]);
    await client('produce', 't', '40');
    const values = (lines: readonly string[]) => parse(lines.join('\n')).filter((line) => 'value' in line).length;
    await second.until((lines) => (values(lines) > 0 ? true : undefined), 'records of the second member');
    await first.end('SIGTERM');
    await second.until((lines) => (assigned(lines)?.length === 4 ? true : undefined), 'all partitions');
    await expect
      .poll(async () => (await client('offsets', 'g', 't')).reduce((sum, { offset }) => sum + Number(offset), 0), {
        timeout: 20_000,
      })
      .toBe(80);
    await second.end('SIGTERM');
    expect(values(first.lines) + values(second.lines)).toBe(80);
    expect(broker.inspect().groups[0]?.state).toBe('Empty');
  });
});
