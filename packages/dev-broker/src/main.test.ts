import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import { expect, test } from 'vitest';
import { kafkaOf } from './kafkajs-client.fixture.ts';

const MAIN = join(import.meta.dirname, 'main.ts');
const start = (...args: string[]) =>
  spawn(process.execPath, ['--conditions=source', '--no-warnings', MAIN, ...args], {
    stdio: ['ignore', 'pipe', 'pipe'],
  });

test('as a process: one line says where it listens, SIGTERM ends it cleanly', async () => {
  const child = start('--nodes', '2', '--auto-create', '3');
  const closed = once(child, 'close');
  try {
    const [line] = (await once(createInterface({ input: child.stdout }), 'line')) as [string];
    const { brokers } = JSON.parse(line) as { brokers: string[] };
    expect(brokers).toHaveLength(2);
    const admin = kafkaOf(brokers).admin();
    await admin.connect();
    expect((await admin.describeCluster()).brokers).toHaveLength(2);
    await admin.disconnect();
  } finally {
    child.kill('SIGTERM');
  }
  expect(await closed).toEqual([0, null]);
});

test('a wrong option is named, with the usage', async () => {
  const child = start('--nodes', 'many');
  let errors = '';
  child.stderr.on('data', (chunk: Buffer) => {
    errors += chunk.toString();
  });
  expect(await once(child, 'close')).toEqual([1, null]);
  expect(errors).toContain('nodes: NaN was given, a whole number of 1 to 64 is allowed');
  expect(errors).toContain('Usage: weir broker');
});
