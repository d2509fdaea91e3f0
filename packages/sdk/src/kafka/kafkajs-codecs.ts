/** Compression codecs that kafkajs lacks: zstd, which Node has since 22.15. */
import { promisify } from 'node:util';
import { zstdCompress, zstdDecompress } from 'node:zlib';
import kafkajs from 'kafkajs';

const compressZstd = promisify(zstdCompress);
const decompressZstd = promisify(zstdDecompress);

let registered = false;

/** kafkajs keeps its codecs in one table per process; a codec that the application has registered stays. */
export function registerCodecs(): void {
  if (registered) return;
  registered = true;
  const { CompressionCodecs, CompressionTypes } = kafkajs;
  if (!isRegistered(CompressionTypes.ZSTD)) {
    CompressionCodecs[CompressionTypes.ZSTD] = () => ({
      compress: (encoder: { buffer: Buffer }) => compressZstd(encoder.buffer),
      decompress: (buffer: Buffer) => decompressZstd(buffer),
    });
  }
}

function isRegistered(type: number): boolean {
  try {
    return typeof (kafkajs.CompressionCodecs as Record<number, () => unknown>)[type]?.() === 'object';
  } catch {
    return false;
  }
}
