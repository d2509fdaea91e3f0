/**
 * Compression codecs for kafkajs: gzip (its own) and zstd (Node's). A batch that no codec here can read must not crash
 * the consumer: kafkajs would meet it again after every restart, and does not say where it lies.
 *
 * A codec sees compressed bytes only, no coordinates. So instead of throwing it gives back bytes that decode to as many
 * stand-in records as kafkajs asks for; they are told from real ones by the memory that they lie in, which no record
 * from outside can share, and they carry the batch's context, which names its first and last offset. The neighbours in
 * the same fetch stay readable.
 */
import { promisify } from 'node:util';
import { zstdCompress, zstdDecompress } from 'node:zlib';
import kafkajs from 'kafkajs';

interface Codec {
  compress(encoder: { buffer: Buffer }): Promise<Buffer>;
  decompress(buffer: Buffer): Promise<Buffer>;
}

const NAMES = { 1: 'gzip', 2: 'snappy', 3: 'lz4', 4: 'zstd' } as const;

/** More records than a batch of the usual 1 MiB holds. */
const STAND_INS = 250_000;
/**
 * Length 11; no attributes; timestamp +0; offset + 2^29, so that kafkajs never takes it for a record before the fetch
 * position; key null; a value of one byte; no headers. Numbers are zigzag varints.
 */
const STAND_IN = Buffer.from([0x16, 0x00, 0x00, 0x80, 0x80, 0x80, 0x80, 0x04, 0x01, 0x02, 0x00, 0x00]);

/** Memory of stand-ins -> why the batch cannot be read. */
const reasons = new Map<ArrayBufferLike, string>();
const standIns = new Map<string, Buffer>();

function standInFor(reason: string): Buffer {
  let buffer = standIns.get(reason);
  if (!buffer) {
    buffer = Buffer.from(new ArrayBuffer(STAND_INS * STAND_IN.length)).fill(STAND_IN);
    standIns.set(reason, buffer);
    reasons.set(buffer.buffer, reason);
  }
  return buffer;
}

/** @returns why the batch of this record cannot be read, or undefined for a real record */
export function unreadableReason(value: Buffer | null): string | undefined {
  return reasons.size > 0 && value !== null ? reasons.get(value.buffer) : undefined;
}

const zstd: Codec = {
  compress: ({ buffer }) => promisify(zstdCompress)(buffer),
  decompress: (buffer) => promisify(zstdDecompress)(buffer),
};

let registered = false;

/**
 * Fills kafkajs's table, which is one per process. A codec that the application has registered before stays in use, but
 * no longer throws; one that it registers later takes the place of these.
 */
export function registerCodecs(): void {
  if (registered) return;
  registered = true;
  const table = kafkajs.CompressionCodecs as Record<number, () => Codec>;
  for (const [id, name] of Object.entries(NAMES)) {
    const given = codecOf(table, Number(id)) ?? (name === 'zstd' ? zstd : undefined);
    const codec = given ? guarded(name, given) : missing(name);
    table[Number(id)] = () => codec;
  }
}

function codecOf(table: Record<number, () => Codec>, id: number): Codec | undefined {
  try {
    return table[id]?.();
  } catch {
    return undefined; // kafkajs's way to say that it has none
  }
}

function guarded(name: string, codec: Codec): Codec {
  return {
    compress: (encoder) => codec.compress(encoder),
    decompress: async (buffer) => {
      try {
        return await codec.decompress(buffer);
      } catch {
        return standInFor(`its ${name} data is damaged`);
      }
    },
  };
}

function missing(name: string): Codec {
  return {
    compress: async () => {
      throw new TypeError(`no ${name} codec is registered with kafkajs: nothing can be produced with it`);
    },
    decompress: async () => standInFor(`it is compressed with ${name}, for which no codec is registered with kafkajs`),
  };
}
