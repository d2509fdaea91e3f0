/** Records: what is sent arrives, in every codec, whole or not at all; what cannot be sent or read is told apart from the rest. */
import kafkajs from 'kafkajs';
import { expect } from 'vitest';
import { ProduceFailedError } from '../../packages/sdk/src/errors.ts';
import { partitionOf } from '../../packages/sdk/src/kafka/partitioner.ts';
import { run, works } from '../foreign-clients/command.ts';
import { skipWithout } from '../foreign-clients/requirement.ts';
import { until } from '../support/until.ts';
import { API, Network } from './faulty-client.ts';
import type { Check } from './harness.ts';

const { CompressionTypes, CompressionCodecs } = kafkajs;

export function recordFacts(check: Check): void {
  check('records of a key arrive in order, in the partition that every Kafka client would choose', async (bench) => {
    await bench.createTopic(6);
    await bench.produce(
      Array.from({ length: 3_000 }, (_, index) => ({
        topic: bench.topic,
        key: `key-${index % 50}`,
        value: Buffer.from(String(index)),
        headers: { 'weir-attempt': '1', bytes: Buffer.from([0, 255]) },
        timestamp: 1_700_000_000_000 + index,
      })),
    );
    const member = await bench.member().start();
    await until('all records', () => member.delivered === 3_000);
    const last = new Map<string, number>();
    for (const record of member.batches.flatMap(({ records }) => records)) {
      const key = String(record.rawKey);
      const index = Number(record.raw);
      expect(index).toBeGreaterThan(last.get(key) ?? -1);
      last.set(key, index);
      expect(record.partition).toBe(partitionOf(key, 6));
      expect(record.timestamp).toBe(1_700_000_000_000 + index);
      expect(record.rawHeaders).toEqual({ 'weir-attempt': Buffer.from('1'), bytes: Buffer.from([0, 255]) });
    }
    expect(last.size).toBe(50);
    expect(member.world.repeats).toBe(0);
  });

  check('tombstones, absent keys and empty values arrive as they were sent', async (bench) => {
    await bench.createTopic(1);
    await bench.produce([
      { topic: bench.topic, key: 'gone', value: null },
      { topic: bench.topic, key: null, value: Buffer.alloc(0) },
      { topic: bench.topic, key: Buffer.from([1, 2]), value: Buffer.from([3]) },
    ]);
    const member = await bench.member().start();
    await until('three records', () => member.delivered === 3);
    const records = member.batches.flatMap((batch) => batch.records);
    expect(records.map(({ raw }) => raw)).toEqual([null, Buffer.alloc(0), Buffer.from([3])]);
    expect(records.map(({ rawKey }) => rawKey)).toEqual([Buffer.from('gone'), null, Buffer.from([1, 2])]);
    expect(member.batches.at(-1)).toMatchObject({ lastOffset: 2, highWatermark: 3 });
  });

  check('batches in every codec are read; one that cannot be is reported and stepped over', async (bench) => {
    await bench.createTopic(1);
    breakLz4Poison();
    const producer = bench.raw().producer();
    await producer.connect();
    bench.atEnd(() => producer.disconnect());
    const send = (name: 'GZIP' | 'Snappy' | 'LZ4' | 'ZSTD', count: number, value: string = name) =>
      producer.send({
        topic: bench.topic,
        compression: CompressionTypes[name],
        messages: Array.from({ length: count }, () => ({ value, partition: 0 })),
      });
    await send('GZIP', 2);
    await send('LZ4', 5, POISON);
    await send('ZSTD', 2);
    await send('Snappy', 2);
    await send('LZ4', 2);
    const member = await bench.member().start();
    await until('what can be read', () => member.delivered >= 8);
    const values = member.batches.flatMap(({ records }) => records.map(({ raw: value }) => String(value)));
    expect(values).toEqual(['GZIP', 'GZIP', 'ZSTD', 'ZSTD', 'Snappy', 'Snappy', 'LZ4', 'LZ4']);
    expect(member.happened.filter(({ kind }) => kind === 'unreadable')).toMatchObject([
      { firstOffset: 2, lastOffset: 6 },
    ]);
    await until('all is covered', () => [...member.ledgers.values()][0]?.base === 13);
  });

  for (const codec of KCAT_CODECS) {
    check(`batches that librdkafka compresses with ${codec} are read`, async (bench) => {
      await bench.createTopic(1);
      // Beyond 64 KiB, so that the formats show their second block.
      const lines = Array.from({ length: 2_000 }, (_, index) => `${codec} ${index} ${'abcdefgh'.repeat(index % 20)}`);
      const args = ['-P', '-b', bench.harness.brokers.join(','), '-t', bench.topic, '-p', '0', '-z', codec];
      const { code, stderr } = await run('kcat', args, { input: `${lines.join('\n')}\n` });
      expect(code, stderr).toBe(0);
      const member = await bench.member().start();
      await until('all are read', () => member.delivered === lines.length);
      const values = member.batches.flatMap(({ records }) => records.map(({ raw: value }) => String(value)));
      expect(values).toEqual(lines);
      expect(member.happened.filter(({ kind }) => kind === 'unreadable')).toEqual([]);
    });
  }

  check('a record that is too large fails alone, its neighbours are written', async (bench) => {
    await bench.admin.createTopics([{ topic: bench.topic, partitions: 1, config: { 'max.message.bytes': '20000' } }]);
    const producer = bench.port.producer();
    bench.atEnd(() => producer.stop());
    await producer.start();
    const fates: (Error | null)[] = [];
    for (let index = 0; index < 9; index++) {
      const value = Buffer.alloc(index === 4 ? 30_000 : 100, 'x');
      await producer.send({ topic: bench.topic, key: null, value }, (error) => {
        fates[index] = error;
      });
    }
    await producer.flush();
    expect(fates.filter((fate) => fate !== null)).toHaveLength(1);
    expect(fates[4]).toBeInstanceOf(ProduceFailedError);
    expect(fates[4]).toMatchObject({ topic: bench.topic, tooLarge: true });
    expect((await bench.admin.offsets([bench.topic]))[0]?.end).toBe(8);
  });

  check('a lost answer to a produce request is asked for again and writes nothing twice', async (bench) => {
    await bench.createTopic(2);
    const network = new Network();
    const producer = bench.newPort(network).producer();
    bench.atEnd(() => producer.stop());
    await producer.start();
    let acknowledged = 0;
    const send = (count: number) => {
      for (let index = 0; index < count; index++) {
        void producer.send({ topic: bench.topic, key: null, value: Buffer.from('v') }, (error) => {
          if (!error) acknowledged++;
        });
      }
    };
    send(10);
    await producer.flush();
    let cuts = 0;
    network.on(API.produce, () => {
      if (cuts++ > 0) return 'pass';
      return 'cut-after';
    });
    send(500);
    await producer.flush();
    expect(cuts).toBeGreaterThan(1);
    expect(acknowledged).toBe(510);
    const offsets = await bench.admin.offsets([bench.topic]);
    expect(offsets.reduce((sum, { end }) => sum + end, 0)).toBe(510);
  });

  check('a record for a topic that is missing is kept until the topic is there', async (bench) => {
    const producer = bench.port.producer();
    bench.atEnd(() => producer.stop());
    await producer.start();
    await bench.createTopic(1, `${bench.topic}-other`);
    const fates: string[] = [];
    void producer.send({ topic: bench.topic, key: 'k', value: Buffer.from('v') }, (error) => {
      fates.push(error ? 'failed' : 'written');
    });
    void producer.send({ topic: `${bench.topic}-other`, key: 'k', value: Buffer.from('v') }, (error) => {
      fates.push(error ? 'other failed' : 'other written');
    });
    await until('the other topic is not held up', () => fates.includes('other written'));
    expect(fates).toEqual(['other written']);
    await bench.createTopic(1);
    await until('the record is written', () => fates.length === 2);
    expect(fates[1]).toBe('written');
  });

  check('a partition that does not exist fails the record instead of dropping it', async (bench) => {
    await bench.createTopic(2);
    await expect(
      bench.produce([{ topic: bench.topic, partition: 7, key: null, value: Buffer.from('v') }]),
    ).rejects.toThrow(/partition 7 .* does not exist/);
  });
}

const POISON = 'a batch that no decoder can read';
let lz4Broken = false;

/** Batches with the poison in them cannot be decompressed any more; the table is one per process, so it stays that way. */
function breakLz4Poison(): void {
  if (lz4Broken) return;
  lz4Broken = true;
  const table = CompressionCodecs as Record<number, () => { decompress(buffer: Buffer): Promise<Buffer> }>;
  const { decompress } = table[CompressionTypes.LZ4]!();
  const codec = {
    // Not compressed, so that the poison shows.
    compress: async ({ buffer }: { buffer: Buffer }) => lz4Stored(buffer),
    decompress: async (buffer: Buffer) => {
      if (buffer.includes(POISON)) throw new Error('no such codec');
      return decompress(buffer);
    },
  };
  table[CompressionTypes.LZ4] = () => codec;
}

/** librdkafka's command line. */
const withoutKcat = skipWithout('kcat', await works('kcat', ['-V']), 'install it (Debian: kcat)');
const KCAT_CODECS = withoutKcat ? [] : ['gzip', 'snappy', 'lz4', 'zstd'];

/** An LZ4 frame with stored blocks: valid, and written without a codec. */
function lz4Stored(data: Buffer): Buffer {
  const parts: Buffer[] = [Buffer.from('04224d18604082', 'hex')];
  for (let at = 0; at < data.length; at += 65_536) {
    const block = data.subarray(at, at + 65_536);
    const head = Buffer.alloc(4);
    head.writeUInt32LE((block.length | 0x80000000) >>> 0);
    parts.push(head, block);
  }
  parts.push(Buffer.alloc(4));
  return Buffer.concat(parts);
}
