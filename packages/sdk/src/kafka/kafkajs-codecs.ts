/**
 * Compression codecs for kafkajs: gzip (its own), zstd (Node's), snappy and lz4 (a package each, loaded when the first
 * such batch is met, because most workers never meet one). What a codec cannot read becomes stand-ins
 * (kafkajs-unreadable.ts) instead of an error.
 */
import { createRequire } from 'node:module';
import { promisify } from 'node:util';
import { zstdCompress, zstdDecompress } from 'node:zlib';
import kafkajs from 'kafkajs';
import { standInsFor } from './kafkajs-unreadable.ts';

interface Codec {
  compress(encoder: { buffer: Buffer }): Promise<Buffer>;
  decompress(buffer: Buffer): Promise<Buffer>;
}

const NAMES = { 1: 'gzip', 2: 'snappy', 3: 'lz4', 4: 'zstd' } as const;

class CodecNotLoadedError extends Error {}

const require = createRequire(import.meta.url);

function load(name: string): unknown {
  try {
    return require(name);
  } catch (error) {
    throw new CodecNotLoadedError(`the package ${name} cannot be loaded here`, { cause: error });
  }
}

const zstd: Codec = {
  compress: ({ buffer }) => promisify(zstdCompress)(buffer),
  decompress: (buffer) => promisify(zstdDecompress)(buffer),
};

interface Lz4 {
  compressFrame(data: Uint8Array): Promise<Buffer>;
  decompressFrame(data: Uint8Array): Promise<Buffer>;
}

/** Kafka's lz4 is the standard frame format. */
const lz4: Codec = {
  compress: async ({ buffer }) => (load('lz4-napi') as Lz4).compressFrame(buffer),
  decompress: async (buffer) => (load('lz4-napi') as Lz4).decompressFrame(buffer),
};

interface Snappy {
  compress(data: Buffer): Buffer;
  uncompress(data: Buffer, maxLength?: number): Buffer;
}

/**
 * Snappy comes in two shapes: one bare block (librdkafka), or the blocks of xerial's stream, which Java writes:
 * a magic, two versions, then length and block in turn.
 */
const XERIAL = Buffer.from([0x82, 0x53, 0x4e, 0x41, 0x50, 0x50, 0x59, 0x00]);
const XERIAL_VERSIONS = Buffer.from([0, 0, 0, 1, 0, 0, 0, 1]);
const XERIAL_BLOCK_BYTES = 32 * 1024;
/** A damaged block may claim any length up to 4 GiB, which would be allocated before it is found out. */
const MAX_BLOCK_BYTES = 256 * 1024 * 1024;

const snappy: Codec = {
  compress: async ({ buffer }) => {
    const { compress } = load('snappyjs') as Snappy;
    const parts: Buffer[] = [XERIAL, XERIAL_VERSIONS];
    for (let at = 0; at < buffer.length; at += XERIAL_BLOCK_BYTES) {
      const block = compress(buffer.subarray(at, at + XERIAL_BLOCK_BYTES));
      const length = Buffer.alloc(4);
      length.writeInt32BE(block.length);
      parts.push(length, block);
    }
    return Buffer.concat(parts);
  },
  decompress: async (buffer) => {
    const { uncompress } = load('snappyjs') as Snappy;
    if (!buffer.subarray(0, XERIAL.length).equals(XERIAL)) return uncompress(buffer, MAX_BLOCK_BYTES);
    const parts: Buffer[] = [];
    for (let at = XERIAL.length + XERIAL_VERSIONS.length; at < buffer.length; ) {
      const length = buffer.readInt32BE(at);
      at += 4;
      if (length < 0 || at + length > buffer.length) throw new RangeError('a snappy block ends behind its batch');
      parts.push(uncompress(buffer.subarray(at, at + length), MAX_BLOCK_BYTES));
      at += length;
    }
    return Buffer.concat(parts);
  },
};

const OURS: Readonly<Record<string, Codec>> = { snappy, lz4, zstd };

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
    const given = codecOf(table, Number(id)) ?? OURS[name];
    if (!given) continue;
    const codec = guarded(name, given);
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
      } catch (error) {
        if (error instanceof CodecNotLoadedError)
          return standInsFor(`it is compressed with ${name}, and ${error.message}`);
        return standInsFor(`its ${name} data is damaged`);
      }
    },
  };
}
