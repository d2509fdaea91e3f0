import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { HEAD_BYTES, type WrittenRecord, withAttributes, writeBatch, writeMarker } from './batch-bytes.fixture.ts';
import { DamagedBatchError, isAbortMarker, readBatches } from './record-batch.ts';
import { ColumnRecords } from './record-columns.ts';

function read(bytes: Buffer, from = 0): ColumnRecords {
  const batches = readBatches(bytes, 0, bytes.length);
  const most = batches.reduce((sum, { count }) => sum + count, 0);
  const records = new ColumnRecords({ topic: 't', partition: 3, bytes, most });
  for (const batch of batches) records.add(batch, from);
  return records;
}

const bytes = fc.uint8Array({ maxLength: 300 }).map((array) => Buffer.from(array));
const record = fc.record({
  key: fc.option(bytes),
  value: fc.option(bytes),
  headers: fc.dictionary(
    fc.string({ minLength: 1, maxLength: 8 }),
    fc.oneof(bytes, fc.array(bytes, { minLength: 2, maxLength: 3 })),
    { maxKeys: 3 },
  ),
  gap: fc.integer({ min: 1, max: 300 }),
  timestampDelta: fc.integer({ min: -5_000_000_000, max: 5_000_000_000 }),
});

describe('record batches', () => {
  test('what kafkajs writes is read: keys, values, headers, gaps in offsets, times before and after the first', async () => {
    await fc.assert(
      fc.asyncProperty(
        fc.array(fc.array(record, { maxLength: 6 }), { maxLength: 3 }),
        fc.nat(2 ** 45),
        async (drawn, first) => {
          const written: Buffer[] = [];
          const expected: object[] = [];
          let firstOffset = first;
          const firstTimestamp = 1_700_000_000_000;
          for (const list of drawn) {
            let offsetDelta = -1;
            const records = list.map(({ gap, ...each }): WrittenRecord => {
              offsetDelta += gap;
              return { ...each, offsetDelta };
            });
            const lastOffsetDelta = offsetDelta + 1;
            written.push(await writeBatch({ firstOffset, firstTimestamp, lastOffsetDelta, records }));
            for (const each of records)
              expected.push({
                topic: 't',
                partition: 3,
                offset: firstOffset + each.offsetDelta,
                timestamp: firstTimestamp + each.timestampDelta,
                rawKey: each.key,
                raw: each.value,
                rawHeaders: Object.keys(each.headers).length === 0 ? undefined : { ...each.headers },
              });
            firstOffset += lastOffsetDelta + 1;
          }
          const seen = [...read(Buffer.concat(written))];
          expect(seen.map((each) => ({ ...each, rawHeaders: each.rawHeaders && { ...each.rawHeaders } }))).toEqual(
            expected,
          );
        },
      ),
      { numRuns: 200 },
    );
  });

  test('a header may be called __proto__', async () => {
    const headers = Object.fromEntries([['__proto__', Buffer.from('x')]]);
    const written = await writeBatch({ firstOffset: 0, records: [{ headers }] });
    expect(Object.entries(read(written).headers(0)!)).toEqual([['__proto__', Buffer.from('x')]]);
  });

  test('records before the position that was asked for are left out', async () => {
    const written = await writeBatch({ firstOffset: 100, records: [{}, {}, {}, {}] });
    expect([...read(written, 102)].map(({ offset }) => offset)).toEqual([102, 103]);
  });

  test('the broker’s clock counts where the topic says so', async () => {
    const written = await writeBatch({ firstOffset: 0, maxTimestamp: 42, records: [{ timestampDelta: 7 }, {}] });
    expect([...read(withAttributes(written, 0x08))].map(({ timestamp }) => timestamp)).toEqual([42, 42]);
  });

  test('a batch that is cut off at the end of a fetch is left out', async () => {
    const one = await writeBatch({ firstOffset: 0, records: [{ value: Buffer.from('a') }] });
    const two = await writeBatch({ firstOffset: 1, records: [{ value: Buffer.from('b') }] });
    for (const missing of [1, 10, two.length - 1])
      expect(read(Buffer.concat([one, two.subarray(0, -missing)])).length).toBe(1);
  });

  test('markers tell an abort from a commit', async () => {
    const written = Buffer.concat([await writeMarker(5, 9, 'abort'), await writeMarker(6, 9, 'commit')]);
    const [abort, commit] = readBatches(written, 0, written.length);
    expect([abort!.isControl, isAbortMarker(abort!), isAbortMarker(commit!)]).toEqual([true, true, false]);
  });

  test('damage of any kind is found or harmless: never a hang, never a part outside of the batch', async () => {
    const records = Array.from({ length: 5 }, (_, index) => ({
      key: Buffer.from(`key ${index}`),
      value: Buffer.alloc(40, index),
      headers: { name: Buffer.from('value') },
    }));
    const good = await writeBatch({ firstOffset: 1_000, records });
    fc.assert(
      fc.property(
        fc.array(fc.tuple(fc.integer({ min: HEAD_BYTES - 4, max: good.length - 1 }), fc.nat(255)), { minLength: 1 }),
        (changes) => {
          const damaged = Buffer.from(good);
          for (const [at, value] of changes) damaged[at] = value;
          const [batch] = readBatches(damaged, 0, damaged.length);
          const columns = new ColumnRecords({ topic: 't', partition: 0, bytes: damaged, most: 100 });
          try {
            columns.add(batch!, 0);
          } catch (error) {
            expect(error).toBeInstanceOf(DamagedBatchError);
            expect(columns.length).toBe(0);
            return;
          }
          for (const { offset, rawKey, raw, rawHeaders } of columns) {
            expect(offset >= 1_000 && offset <= 1_004).toBe(true);
            for (const part of [rawKey, raw, ...Object.values(rawHeaders ?? {}).flat()])
              if (part !== null) expect((part as Buffer).length).toBeLessThan(damaged.length);
          }
        },
      ),
      { numRuns: 2_000 },
    );
  });

  test('a batch that claims to be shorter than its own head is an error: the next one cannot be found', () => {
    expect(() => readBatches(Buffer.alloc(200), 0, 200)).toThrow(DamagedBatchError);
  });
});
