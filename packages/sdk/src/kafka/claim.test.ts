import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { type Claim, decodeClaim, encodeClaim } from './claim.ts';
import { roundLoad } from './load-scale.ts';

const claims = fc.record({
  leaving: fc.boolean(),
  generation: fc.integer({ min: -1, max: 0x7fffffff }),
  partitions: fc
    .uniqueArray(
      fc.record({
        topic: fc.constantFrom('a', 'xact.downloads.pending', 'größe'),
        partition: fc.nat(100_000),
        load: fc.option(fc.double({ min: 0, max: 1e6, noNaN: true }), { nil: undefined }),
      }),
      { selector: ({ topic, partition }) => `${topic}/${partition}`, maxLength: 50 },
    )
    .map((each) => each.map((one) => ({ ...one, load: one.load === undefined ? undefined : roundLoad(one.load) }))),
});

const sorted = ({ partitions, ...rest }: Claim) => ({
  ...rest,
  partitions: partitions.toSorted((a, b) =>
    a.topic === b.topic ? a.partition - b.partition : a.topic < b.topic ? -1 : 1,
  ),
});

describe('claim', () => {
  test('comes out as it went in, loads rounded', () => {
    fc.assert(
      fc.property(claims, (claim) => {
        const decoded = decodeClaim(encodeClaim(claim));
        expect(decoded && sorted(decoded)).toEqual(sorted(claim));
      }),
    );
  });

  test('a thousand partitions take little more than two bytes each', () => {
    const partitions = Array.from({ length: 1_000 }, (_, partition) => ({
      topic: 'xact.downloads.pending',
      partition,
      load: partition,
    }));
    expect(encodeClaim({ leaving: false, generation: 7, partitions }).length).toBeLessThan(2_100);
  });

  test('nothing, what others write, another version, cut or damaged data is no claim, and never an exception', () => {
    const sound = encodeClaim({ leaving: true, generation: 7, partitions: [{ topic: 't', partition: 3, load: 1 }] });
    expect(decodeClaim(null)).toBeUndefined();
    expect(decodeClaim(Buffer.alloc(0))).toBeUndefined();
    expect(decodeClaim(Buffer.from('{"previous":[1,2,3]}'))).toBeUndefined();
    for (let length = 0; length < sound.length; length++)
      expect(decodeClaim(sound.subarray(0, length))).toBeUndefined();
    for (let at = 0; at < sound.length; at++) {
      const damaged = Buffer.from(sound);
      damaged[at] = damaged[at]! ^ 0x15;
      expect(decodeClaim(damaged)).toBeUndefined();
    }
    fc.assert(
      fc.property(fc.uint8Array({ maxLength: 200 }), (bytes) => {
        expect(decodeClaim(bytes)).toBeUndefined();
      }),
    );
  });
});
