/**
 * Reading and writing Kafka's primitive types. The reader checks every length against what is left, so a frame made of
 * noise ends in a MalformedFrameError and never in a huge allocation. The writer collects small fields in one buffer
 * and takes record batches by reference.
 */
import { MalformedFrameError } from '../errors.ts';

export class Reader {
  readonly buffer: Buffer;
  offset: number;

  constructor(buffer: Buffer, offset = 0) {
    this.buffer = buffer;
    this.offset = offset;
  }

  get left(): number {
    return this.buffer.length - this.offset;
  }

  #take(length: number): number {
    if (length < 0 || length > this.left) {
      throw new MalformedFrameError(`${length} bytes wanted at position ${this.offset}, ${this.left} left`);
    }
    const at = this.offset;
    this.offset += length;
    return at;
  }

  int8(): number {
    return this.buffer.readInt8(this.#take(1));
  }
  int16(): number {
    return this.buffer.readInt16BE(this.#take(2));
  }
  int32(): number {
    return this.buffer.readInt32BE(this.#take(4));
  }
  int64(): number {
    const at = this.#take(8);
    return this.buffer.readInt32BE(at) * 0x1_0000_0000 + this.buffer.readUInt32BE(at + 4);
  }

  uvarint(): number {
    let value = 0;
    for (let shift = 0; shift < 35; shift += 7) {
      const byte = this.buffer[this.#take(1)] ?? 0;
      value += (byte & 0x7f) * 2 ** shift;
      if (byte < 0x80) return value;
    }
    throw new MalformedFrameError('a variable-length number of more than five bytes');
  }

  /** A zigzag number of up to 64 bits, exact within 2^53. */
  varlong(): number {
    let value = 0n;
    for (let shift = 0n; shift < 70n; shift += 7n) {
      const byte = this.buffer[this.#take(1)] ?? 0;
      value |= BigInt(byte & 0x7f) << shift;
      if (byte < 0x80) return Number((value >> 1n) ^ -(value & 1n));
    }
    throw new MalformedFrameError('a variable-length number of more than ten bytes');
  }

  slice(length: number): Buffer {
    const at = this.#take(length);
    return this.buffer.subarray(at, at + length);
  }

  text(length: number): string {
    const at = this.#take(length);
    return this.buffer.toString('utf8', at, at + length);
  }
}

export class Writer {
  #chunks: Buffer[] = [];
  #buffer: Buffer;
  #start = 0;
  #offset = 0;
  #size = 0;

  constructor(initialBytes = 512) {
    this.#buffer = Buffer.allocUnsafe(initialBytes);
  }

  /** Bytes written so far. */
  get size(): number {
    return this.#size + this.#offset - this.#start;
  }

  #room(length: number): number {
    if (this.#offset + length > this.#buffer.length) {
      this.#flush();
      this.#buffer = Buffer.allocUnsafe(Math.max(length, Math.min(this.#buffer.length * 2, 65_536)));
      this.#start = 0;
      this.#offset = 0;
    }
    const at = this.#offset;
    this.#offset += length;
    return at;
  }

  #flush(): void {
    if (this.#offset === this.#start) return;
    this.#chunks.push(this.#buffer.subarray(this.#start, this.#offset));
    this.#size += this.#offset - this.#start;
    this.#start = this.#offset;
  }

  int8(value: number): void {
    const at = this.#room(1);
    this.#buffer[at] = value & 0xff;
  }
  int16(value: number): void {
    const at = this.#room(2);
    this.#buffer.writeInt16BE(value, at);
  }
  int32(value: number): void {
    const at = this.#room(4);
    this.#buffer.writeInt32BE(value, at);
  }
  int64(value: number): void {
    const at = this.#room(8);
    this.#buffer.writeBigInt64BE(BigInt(value), at);
  }
  uvarint(value: number): void {
    let rest = value;
    while (rest >= 0x80) {
      this.int8((rest % 0x80) | 0x80);
      rest = Math.floor(rest / 0x80);
    }
    this.int8(rest);
  }
  text(value: string, length: number): void {
    const at = this.#room(length);
    this.#buffer.write(value, at, length, 'utf8');
  }
  /** Small values are copied, large ones kept by reference. */
  bytes(value: Uint8Array): void {
    if (value.length <= 256) {
      const at = this.#room(value.length);
      this.#buffer.set(value, at);
      return;
    }
    this.#flush();
    this.#chunks.push(Buffer.from(value.buffer, value.byteOffset, value.length));
    this.#size += value.length;
  }

  /** Everything written, in order; the writer must not be used afterwards. */
  finish(): Buffer[] {
    this.#flush();
    return this.#chunks;
  }
}
