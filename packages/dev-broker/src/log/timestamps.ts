/**
 * Finds the first record at or after a time within one batch. The only place that looks at records: gzip and zstd are
 * opened; snappy and lz4, which Node lacks, answer with the batch's first offset, which is at most a batch too early.
 */
import { gunzipSync, zstdDecompressSync } from 'node:zlib';
import { Reader } from '../wire/bytes.ts';
import { readStored } from './batch.ts';

const NONE = 0;
const GZIP = 1;
const ZSTD = 4;
/** A batch that unpacks to more than this is not opened: the answer stays a batch early, the memory bounded. */
const MOST_UNPACKED_BYTES = 64 * 1024 * 1024;

export interface TimedOffset {
  readonly offset: number;
  readonly timestamp: number;
}

/**
 * @param fromOffset  where the log starts; records before it are gone
 * @returns           the first record of the batch with `timestamp >= wanted`, or undefined when it has none
 */
export function firstAtOrAfter(batch: Buffer, wanted: number, fromOffset: number): TimedOffset | undefined {
  const stored = readStored(batch);
  if (stored.maxTimestamp < wanted) return undefined;
  const first = Math.max(stored.baseOffset, fromOffset);
  if (stored.logAppendTime) return { offset: first, timestamp: stored.maxTimestamp };
  const records = unpack(stored.codec, stored.records);
  if (!records) return { offset: first, timestamp: stored.baseTimestamp };
  try {
    const reader = new Reader(records);
    for (let index = 0; index < stored.count; index++) {
      const length = reader.varlong();
      const end = reader.offset + length;
      reader.int8();
      const timestamp = stored.baseTimestamp + reader.varlong();
      const offset = stored.baseOffset + reader.varlong();
      if (timestamp >= wanted && offset >= fromOffset) return { offset, timestamp };
      reader.slice(end - reader.offset);
    }
  } catch {
    // Records that cannot be read are the consumer's to refuse; the batch's own header still answers the question.
    return { offset: first, timestamp: stored.baseTimestamp };
  }
  return undefined;
}

function unpack(codec: number, records: Buffer): Buffer | undefined {
  try {
    if (codec === NONE) return records;
    if (codec === GZIP) return gunzipSync(records, { maxOutputLength: MOST_UNPACKED_BYTES });
    if (codec === ZSTD) return zstdDecompressSync(records, { maxOutputLength: MOST_UNPACKED_BYTES });
  } catch {
    return undefined;
  }
  return undefined;
}
