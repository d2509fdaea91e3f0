import { seededRandom } from '@weir/core';
import kafkajs from 'kafkajs';
import { describe, expect, test } from 'vitest';
import { murmur2, partitionOf } from './partitioner.ts';

describe('the partitioner', () => {
  test('murmur2 gives the values of Kafka’s own test', () => {
    // org.apache.kafka.common.utils.UtilsTest
    const known = { '21': -973932308, foobar: -790332482, 'a-little-bit-long-string': -985981536, abc: 479470107 };
    for (const [text, hash] of Object.entries(known)) expect(murmur2(Buffer.from(text))).toBe(hash);
  });

  test('a key goes where kafkajs’s default partitioner sends it', () => {
    const random = seededRandom(7);
    const choose = kafkajs.Partitioners.DefaultPartitioner();
    for (let round = 0; round < 2_000; round++) {
      const key = Buffer.from(Array.from({ length: random.below(40) }, () => random.below(256)));
      const partitions = 1 + random.below(64);
      const partitionMetadata = Array.from({ length: partitions }, (_, partitionId) => ({ partitionId, leader: 1 }));
      const expected = choose({
        topic: 't',
        partitionMetadata: partitionMetadata as never,
        message: { key, value: null },
      });
      expect(partitionOf(key, partitions)).toBe(expected);
    }
  });

  test('a text key is hashed as UTF-8', () => {
    expect(partitionOf('schlüssel', 1_000)).toBe(partitionOf(Buffer.from('schlüssel', 'utf8'), 1_000));
  });
});
