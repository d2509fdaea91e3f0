import { gzipSync, zstdCompressSync } from 'node:zlib';
import { silentLogger } from '@weir/core';
import { ManualClock } from '@weir/core/testing';
import { beforeEach, describe, expect, test } from 'vitest';
import { type BatchParts, recordBatch } from '../testing/raw-client.ts';
import { CODES } from '../wire/codes.ts';
import { LogMemory, type Trimmed } from './memory.ts';
import { type Appended, Partition } from './partition.ts';

const RULES = {
  maxMessageBytes: 1_000_000,
  timestampBeforeMaxMs: Number.POSITIVE_INFINITY,
  timestampAfterMaxMs: Number.POSITIVE_INFINITY,
  logAppendTime: false,
  retentionBytes: -1,
  now: 0,
};

let clock: ManualClock;
let trimmed: Trimmed[];
let warnings: string[];
let memory: LogMemory;
let partition: Partition;

function open(limitBytes = 1024 * 1024): void {
  clock = new ManualClock();
  trimmed = [];
  warnings = [];
  memory = new LogMemory({
    limitBytes,
    clock,
    log: { ...silentLogger, warn: (_fields: object, message?: string) => warnings.push(message ?? '') },
    report: (each) => trimmed.push(each),
  });
  partition = another();
}
function another(): Partition {
  return new Partition({ topic: 't', index: 0, replicas: [1], leader: 1, memory });
}
beforeEach(() => open());

function append(parts: BatchParts = {}, to = partition): Appended {
  const result = to.append(recordBatch(parts), RULES);
  if ('code' in result) throw new Error(`refused with ${result.code}: ${result.reason}`);
  return result;
}
const refusedWith = (parts: BatchParts) => {
  const result = partition.append(recordBatch(parts), RULES);
  return 'code' in result ? result.code : 0;
};
/** Base offsets of the batches in what a read gave. */
function bases(pieces: readonly Buffer[]): number[] {
  const found: number[] = [];
  for (const piece of pieces) {
    for (let at = 0; at < piece.length; at += piece.readInt32BE(at + 8) + 12) {
      found.push(Number(piece.readBigInt64BE(at)));
    }
  }
  return found;
}

describe('reading', () => {
  test('begins with the batch that holds the offset and gives whole batches within the limit', () => {
    for (let index = 0; index < 5; index++) append({ values: ['a', 'b', 'c'] });
    const size = recordBatch({ values: ['a', 'b', 'c'] }).length;
    expect(bases(partition.read(4, 10_000, true))).toEqual([3, 6, 9, 12]);
    expect(bases(partition.read(4, 2 * size, true))).toEqual([3, 6]);
    expect(bases(partition.read(4, 2 * size - 1, true))).toEqual([3]);
    expect(partition.read(15, 10_000, true)).toEqual([]);
  });

  test('gives one batch above the limit only when asked to', () => {
    append({ values: ['x'.repeat(500)] });
    append();
    expect(bases(partition.read(0, 10, true))).toEqual([0]);
    expect(partition.read(0, 10, false)).toEqual([]);
  });

  test('goes across segments, offset by offset', () => {
    for (let index = 0; index < 400; index++) append({ values: ['x'.repeat(300), 'y'] });
    const all: number[] = [];
    for (let offset = 0; offset < partition.endOffset; ) {
      const found = bases(partition.read(offset, 3000, true));
      all.push(...found);
      offset = found.at(-1)! + 2;
    }
    expect(all).toEqual(Array.from({ length: 400 }, (_, index) => index * 2));
    expect(bases(partition.read(101, 1_000_000, true))).toHaveLength(350);
  });

  test('counts bytes from an offset', () => {
    const size = recordBatch().length;
    for (let index = 0; index < 300; index++) append();
    expect(partition.bytesFrom(0, 1e9)).toBe(300 * size);
    expect(partition.bytesFrom(299, 1e9)).toBe(size);
    expect(partition.bytesFrom(300, 1e9)).toBe(0);
    expect(partition.bytesFrom(0, 100)).toBe(100);
  });
});

describe('idempotent producers', () => {
  test('a repeat of one of the last five batches gets its first offset and is not stored again', () => {
    for (let index = 0; index < 6; index++) append({ producerId: 7, baseSequence: index * 2, values: ['a', 'b'] });
    const again = append({ producerId: 7, baseSequence: 4, values: ['a', 'b'] });
    expect(again).toMatchObject({ baseOffset: 4, repeated: true });
    expect(partition.endOffset).toBe(12);
    expect(refusedWith({ producerId: 7, baseSequence: 0, values: ['a', 'b'] })).toBe(
      CODES.OUT_OF_ORDER_SEQUENCE_NUMBER,
    );
  });

  test('a gap is refused, and a repeat with another length too', () => {
    append({ producerId: 7, baseSequence: 0 });
    expect(refusedWith({ producerId: 7, baseSequence: 2 })).toBe(CODES.OUT_OF_ORDER_SEQUENCE_NUMBER);
    expect(refusedWith({ producerId: 7, baseSequence: 0, values: ['a', 'b'] })).toBe(
      CODES.OUT_OF_ORDER_SEQUENCE_NUMBER,
    );
  });

  test('a new epoch begins at 0 and fences the old one', () => {
    append({ producerId: 7, baseSequence: 0 });
    expect(refusedWith({ producerId: 7, producerEpoch: 1, baseSequence: 1 })).toBe(CODES.OUT_OF_ORDER_SEQUENCE_NUMBER);
    append({ producerId: 7, producerEpoch: 1, baseSequence: 0 });
    expect(refusedWith({ producerId: 7, producerEpoch: 0, baseSequence: 1 })).toBe(CODES.INVALID_PRODUCER_EPOCH);
  });

  test('sequence numbers wrap at 2^31', () => {
    append({ producerId: 7, baseSequence: 0x7fff_fffe, values: ['a', 'b'] });
    append({ producerId: 7, baseSequence: 0, values: ['c'] });
    append({ producerId: 7, baseSequence: 1, values: ['d'] });
    expect(partition.endOffset).toBe(4);
  });

  test('an unknown producer may begin anywhere', () => {
    append({ producerId: 9, baseSequence: 500 });
  });
});

describe('timestamps', () => {
  const times = { values: ['a', 'b', 'c'], timestamps: [1000, 3000, 2000] };

  test.each([
    ['uncompressed', {}],
    ['gzip', { attributes: 1, pack: (records: Buffer) => gzipSync(records) }],
    ['zstd', { attributes: 4, pack: (records: Buffer) => zstdCompressSync(records) }],
  ])('the first record at or after a time, %s', (_codec, parts) => {
    append({ ...times, ...parts });
    append({ values: ['d'], timestamps: [5000] });
    expect(partition.offsetAt(0)).toEqual({ offset: 0, timestamp: 1000 });
    expect(partition.offsetAt(1001)).toEqual({ offset: 1, timestamp: 3000 });
    expect(partition.offsetAt(3001)).toEqual({ offset: 3, timestamp: 5000 });
    expect(partition.offsetAt(5001)).toBeUndefined();
    expect(partition.newest).toEqual({ offset: 3, timestamp: 5000 });
  });

  test('what cannot be opened answers with the first record of its batch', () => {
    append({ ...times, attributes: 2 });
    expect(partition.offsetAt(2500)).toEqual({ offset: 0, timestamp: 1000 });
  });

  test('a broken batch that claims to be gzip is no problem', () => {
    append({ ...times, attributes: 1 });
    expect(partition.offsetAt(2500)).toEqual({ offset: 0, timestamp: 1000 });
  });
});

describe('memory', () => {
  test('stays within the bound; the oldest goes, the start moves, a warning says so at most every ten seconds', async () => {
    open(256 * 1024);
    for (let index = 0; index < 2000; index++) append({ values: ['x'.repeat(1000)] });
    expect(memory.bytes).toBeLessThanOrEqual(256 * 1024);
    expect(partition.logStartOffset).toBeGreaterThan(1500);
    expect(partition.endOffset).toBe(2000);
    expect(trimmed.reduce((sum, { records }) => sum + records, 0)).toBe(partition.logStartOffset);
    expect(warnings).toHaveLength(1);
    await clock.advance(10_000);
    expect(warnings).toHaveLength(2);
    expect(bases(partition.read(partition.logStartOffset, 1e9, true))[0]).toBe(partition.logStartOffset);
  });

  test('full segments of any partition go before the current one of an idle one, which goes last', () => {
    open(256 * 1024);
    const idle = another();
    append({ values: ['kept'] }, idle);
    for (let index = 0; index < 500; index++) append({ values: ['x'.repeat(1000)] });
    expect(idle.logStartOffset).toBe(0);
    expect(bases(idle.read(0, 1000, true))).toEqual([0]);
    const many = Array.from({ length: 100 }, () => another());
    for (const each of many) append({ values: ['x'.repeat(7000)] }, each);
    expect(memory.bytes).toBeLessThanOrEqual(256 * 1024);
    expect(idle.logStartOffset).toBe(1);
    expect(append({}, idle).baseOffset).toBe(1);
  });

  test('retention.bytes drops whole segments behind the bound', () => {
    for (let index = 0; index < 500; index++) {
      partition.append(recordBatch({ values: ['x'.repeat(1000)] }), { ...RULES, retentionBytes: 50_000 });
    }
    expect(partition.logStartOffset).toBeGreaterThan(0);
    expect(partition.bytes).toBeGreaterThanOrEqual(50_000);
    expect(partition.bytes).toBeLessThan(150_000);
    expect(trimmed[0]?.reason).toBe('retention.bytes');
    expect(warnings).toEqual([]);
  });

  test('deleting records moves the start also within a batch', () => {
    append({ values: ['a', 'b', 'c'] });
    partition.deleteBefore(2);
    expect(partition.logStartOffset).toBe(2);
    expect(partition.offsetAt(0)?.offset).toBe(2);
    partition.deleteBefore(3);
    expect(partition.bytes).toBe(0);
    expect(append().baseOffset).toBe(3);
  });
});

test('an epoch ends where the next one begins', () => {
  append();
  append();
  partition.lead(2);
  append();
  expect(partition.endOfEpoch(0)).toEqual({ epoch: 0, endOffset: 2 });
  expect(partition.endOfEpoch(1)).toEqual({ epoch: 1, endOffset: 3 });
  expect(partition.endOfEpoch(2)).toEqual({ epoch: -1, endOffset: -1 });
});
