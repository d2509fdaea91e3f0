/** A client of bare frames, for tests that no well-behaved client would make. */
import { connect, type Socket } from 'node:net';
import { APIS, type ApiName, type RequestOf, type ResponseOf } from '../apis/registry.ts';
import { Reader, Writer } from '../wire/bytes.ts';
import { decodeMessage, encodeMessage } from '../wire/codec.ts';
import { crc32c } from '../wire/crc32c.ts';
import type { Draft } from '../wire/layout.ts';

export class RawClient {
  readonly socket: Socket;
  #received = Buffer.alloc(0);
  #closed = false;
  readonly #watchers = new Set<() => void>();
  #correlationId = 0;

  private constructor(socket: Socket) {
    this.socket = socket;
    socket.on('data', (chunk: Buffer) => {
      this.#received = Buffer.concat([this.#received, chunk]);
      this.#changed();
    });
    socket.on('error', () => undefined);
    socket.on('close', () => {
      this.#closed = true;
      this.#changed();
    });
  }

  static async connect(broker: string): Promise<RawClient> {
    const [host, port] = broker.split(':');
    const socket = connect(Number(port), host);
    await new Promise<void>((resolve, reject) => {
      socket.once('connect', resolve);
      socket.once('error', reject);
    });
    return new RawClient(socket);
  }

  get closed(): boolean {
    return this.#closed;
  }

  write(bytes: Buffer): void {
    this.socket.write(bytes);
  }

  /** The next frame, without its length; undefined when the broker hung up first. */
  async frame(): Promise<Buffer | undefined> {
    for (;;) {
      if (this.#received.length >= 4) {
        const length = this.#received.readInt32BE(0);
        if (this.#received.length >= 4 + length) {
          const frame = this.#received.subarray(4, 4 + length);
          this.#received = this.#received.subarray(4 + length);
          return frame;
        }
      }
      if (this.#closed) return undefined;
      await new Promise<void>((resolve) => {
        const done = () => {
          this.#watchers.delete(done);
          resolve();
        };
        this.#watchers.add(done);
      });
    }
  }

  async untilClosed(): Promise<void> {
    while ((await this.frame()) !== undefined);
  }

  /** Sends a request without waiting. @returns its correlation id */
  send<Name extends ApiName>(name: Name, version: number, request: Draft<RequestOf<Name>>): number {
    const id = ++this.#correlationId;
    this.write(requestFrame(name, version, request, id));
    return id;
  }

  /** Asks and waits for the answer; undefined when the broker hangs up. */
  async ask<Name extends ApiName>(
    name: Name,
    version: number,
    request: Draft<RequestOf<Name>>,
  ): Promise<Complete<ResponseOf<Name>> | undefined> {
    this.send(name, version, request);
    const frame = await this.frame();
    return frame && decodeResponse(name, version, frame);
  }

  close(): void {
    this.socket.destroy();
  }

  #changed(): void {
    for (const watcher of [...this.#watchers]) watcher();
  }
}

/** A decoded answer has all its fields. */
export type Complete<T> = T extends string | number | boolean | null | Uint8Array
  ? T
  : T extends readonly (infer E)[]
    ? Complete<E>[]
    : { [K in keyof T]-?: Complete<Exclude<T[K], undefined>> };

export function apiOf(name: ApiName) {
  return APIS.find((api) => api.name === name)!;
}

export function requestFrame<Name extends ApiName>(
  name: Name,
  version: number,
  request: Draft<RequestOf<Name>>,
  correlationId = 1,
): Buffer {
  const api = apiOf(name);
  const flexible = api.flexibleFrom !== undefined && version >= api.flexibleFrom;
  const writer = new Writer();
  writer.int16(api.key);
  writer.int16(version);
  writer.int32(correlationId);
  writer.int16(3);
  writer.text('raw', 3);
  if (flexible) writer.uvarint(0);
  encodeMessage(api.request, request as never, writer, { version, flexible });
  return framed(Buffer.concat(writer.finish()));
}

export function framed(body: Buffer): Buffer {
  const length = Buffer.alloc(4);
  length.writeInt32BE(body.length);
  return Buffer.concat([length, body]);
}

export function decodeResponse<Name extends ApiName>(
  name: Name,
  version: number,
  frame: Buffer,
): Complete<ResponseOf<Name>> {
  const api = apiOf(name);
  const flexible = api.flexibleFrom !== undefined && version >= api.flexibleFrom;
  const reader = new Reader(frame);
  reader.int32();
  if (flexible && name !== 'ApiVersions') reader.uvarint();
  const response = decodeMessage(api.response, reader, { version, flexible });
  if (reader.left > 0) throw new Error(`${reader.left} bytes left of a ${name} v${version} answer`);
  return response as Complete<ResponseOf<Name>>;
}

export interface BatchParts {
  readonly values?: readonly string[];
  readonly timestamps?: readonly number[];
  readonly producerId?: number;
  readonly producerEpoch?: number;
  readonly baseSequence?: number;
  readonly attributes?: number;
  /** Replaces the encoded records, for what is compressed. */
  readonly pack?: (records: Buffer) => Buffer;
}

/** A record batch as a producer would send it. */
export function recordBatch(parts: BatchParts = {}): Buffer {
  const values = parts.values ?? ['a'];
  const timestamps = values.map((_, index) => parts.timestamps?.[index] ?? 1_700_000_000_000);
  const base = timestamps[0]!;
  const encoded = Buffer.concat(
    values.map((value, index) => {
      const text = Buffer.from(value);
      const body = Buffer.concat([
        Buffer.from([0]),
        zigzag(timestamps[index]! - base),
        zigzag(index),
        zigzag(-1),
        zigzag(text.length),
        text,
        zigzag(0),
      ]);
      return Buffer.concat([zigzag(body.length), body]);
    }),
  );
  const records = parts.pack ? parts.pack(encoded) : encoded;
  const batch = Buffer.alloc(61 + records.length);
  batch.writeInt32BE(batch.length - 12, 8);
  batch.writeInt32BE(-1, 12);
  batch.writeInt8(2, 16);
  batch.writeInt16BE(parts.attributes ?? 0, 21);
  batch.writeInt32BE(values.length - 1, 23);
  batch.writeBigInt64BE(BigInt(base), 27);
  batch.writeBigInt64BE(BigInt(Math.max(...timestamps)), 35);
  batch.writeBigInt64BE(BigInt(parts.producerId ?? -1), 43);
  batch.writeInt16BE(parts.producerEpoch ?? (parts.producerId === undefined ? -1 : 0), 51);
  batch.writeInt32BE(parts.baseSequence ?? (parts.producerId === undefined ? -1 : 0), 53);
  batch.writeInt32BE(values.length, 57);
  records.copy(batch, 61);
  return sealed(batch);
}

/** The batch with its checksum made right. */
export function sealed(batch: Buffer): Buffer {
  batch.writeUInt32BE(crc32c(batch, 21), 17);
  return batch;
}

function zigzag(value: number): Buffer {
  const bytes: number[] = [];
  let rest = BigInt.asUintN(64, (BigInt(value) << 1n) ^ (BigInt(value) >> 63n));
  while (rest >= 0x80n) {
    bytes.push(Number(rest & 0x7fn) | 0x80);
    rest >>= 7n;
  }
  bytes.push(Number(rest));
  return Buffer.from(bytes);
}
