import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, describe, expect, test } from 'vitest';
import { resolve } from './config.ts';
import { bytes, defineWorker, topic } from './define.ts';
import { TopologyInvalidError } from './errors.ts';
import { deriveTopics, readTopology, topologyOf, topologySchema } from './topology.ts';

const folder = mkdtempSync(join(tmpdir(), 'weir-topology-'));
afterAll(() => rmSync(folder, { recursive: true }));

const raw = topic('events.raw', bytes, { partitions: 12, maxMessageBytes: 2 * 1024 * 1024 });
const pending = topic('downloads.pending', bytes, { partitions: 24 });
const ingester = defineWorker({
  name: 'event-ingester',
  consumes: raw,
  produces: { tasks: pending },
  order: 'key',
  handle: () => undefined,
});
const downloader = defineWorker({
  name: 'download-worker',
  consumes: pending,
  retry: { topics: 'downloads', delays: ['5s', '10s'] },
  concurrency: { start: 5, max: 20 },
  handle: () => undefined,
});
const resolved = [resolve(ingester, { WEIR_TOPIC_PREFIX: 't' }), resolve(downloader, { WEIR_TOPIC_PREFIX: 't' })];

describe('topologyOf', () => {
  test('is the deployment as data, and the file’s own schema takes it', () => {
    const topology = topologyOf(resolved);
    expect(topologySchema.parse(JSON.parse(JSON.stringify(topology)))).toEqual(topology);
    expect(topology).toMatchObject({
      version: 1,
      prefix: 't',
      workers: [
        {
          name: 'event-ingester',
          group: 't-event-ingester',
          order: 'key',
          consumes: [{ name: 't.events.raw', declared: 'events.raw', partitions: 12, maxMessageBytes: 2_097_152 }],
          produces: [{ name: 't.downloads.pending', partitions: 24 }],
          retry: [],
          deadLetters: { name: 't.event-ingester.dlq', partitions: 3 },
        },
        {
          name: 'download-worker',
          retry: [
            { name: 't.downloads.retry.5s', delayMs: 5_000, partitions: 3 },
            { name: 't.downloads.retry.10s', delayMs: 10_000, partitions: 3 },
          ],
          deadLetters: { name: 't.downloads.dlq', partitions: 3 },
          concurrency: { start: 5, max: 20 },
          scaling: { min: 1, max: 24, catchUpMs: 300_000 },
        },
      ],
    });
  });

  test('refuses workers of two prefixes', () => {
    expect(() => topologyOf([resolved[0]!, resolve(downloader, {})])).toThrow('not t and xact');
  });
});

describe('deriveTopics', () => {
  test('names every topic once, retry and dead letters 64 KiB above their origin', () => {
    expect(deriveTopics(resolved)).toEqual([
      { topic: 't.events.raw', partitions: 12, config: { 'max.message.bytes': '2097152' } },
      { topic: 't.downloads.pending', partitions: 24, config: { 'max.message.bytes': '1048576' } },
      { topic: 't.event-ingester.dlq', partitions: 3, config: { 'max.message.bytes': String(2_097_152 + 65_536) } },
      { topic: 't.downloads.retry.5s', partitions: 3, config: { 'max.message.bytes': String(1_048_576 + 65_536) } },
      { topic: 't.downloads.retry.10s', partitions: 3, config: { 'max.message.bytes': String(1_048_576 + 65_536) } },
      { topic: 't.downloads.dlq', partitions: 3, config: { 'max.message.bytes': String(1_048_576 + 65_536) } },
    ]);
    expect(deriveTopics(resolved[1]!)).toEqual(deriveTopics([resolved[1]!]));
  });

  test('a topic that a reader declares smaller than its origin needs stays large enough', () => {
    const retries = topic('downloads.retry.5s', bytes, { partitions: 1 });
    const reader = defineWorker({ name: 'reader', consumes: retries, handle: () => undefined });
    const topics = deriveTopics([resolve(reader, { WEIR_TOPIC_PREFIX: 't' }), resolved[1]!]);
    expect(topics.find((each) => each.topic === 't.downloads.retry.5s')).toEqual({
      topic: 't.downloads.retry.5s',
      partitions: 3,
      config: { 'max.message.bytes': String(1_048_576 + 65_536) },
    });
  });
});

describe('readTopology', () => {
  const write = (name: string, text: string) => {
    const path = join(folder, name);
    writeFileSync(path, text);
    return path;
  };

  test('reads what topologyOf made', () => {
    const topology = topologyOf(resolved);
    expect(readTopology(write('good.json', JSON.stringify(topology)))).toEqual(topology);
  });

  test('a file that is missing, no JSON, or no topology is named with what is wrong', () => {
    expect(() => readTopology(join(folder, 'none.json'))).toThrow(TopologyInvalidError);
    expect(() => readTopology(write('bad.json', '{'))).toThrow('bad.json: is not JSON');
    expect(() => readTopology(write('other.json', '{"version":2}'))).toThrow('version');
  });
});
