/**
 * What a member tells the group's leader when it joins, as `userData` in its JoinGroup: what it owned last and in which
 * generation, what each partition asks of its owner, and whether it is about to leave. The leader assigns from all
 * members' claims and nothing else, so it does not matter who the leader is.
 *
 *   "WEIR" version(1) flags(1: leaving) generation(4) topics(varint)
 *     per topic:      name length(varint) name partitions(varint)
 *     per partition:  number minus the one before (varint) load(1)
 *   checksum(4) of all before
 *
 * A partition takes two bytes: 1,000 of them 2 KB.
 *
 * What has no meaning here (another client's data, another version, damage) is no claim. A reader must be able to say so
 * of anything: an exception in the leader would stop the whole group.
 */
import { crc32 } from 'node:zlib';
import { writeVarint } from '../varint.ts';
import { codeOfLoad, loadOfCode } from './load-scale.ts';
import type { TopicPartition } from './port.ts';

export interface ClaimedPartition extends TopicPartition {
  /** Records per second that it asks of its owner; undefined when not known. */
  readonly load: number | undefined;
}

export interface Claim {
  readonly leaving: boolean;
  /** Of the assignment that gave these partitions; -1 before the first. */
  readonly generation: number;
  readonly partitions: readonly ClaimedPartition[];
}

const MAGIC = Buffer.from('WEIR');
const VERSION = 1;
const LEAVING = 1;
const HEAD_BYTES = 10;

export function encodeClaim(claim: Claim): Buffer {
  const byTopic = Map.groupBy(claim.partitions, ({ topic }) => topic);
  const bytes: number[] = [...MAGIC, VERSION, claim.leaving ? LEAVING : 0, 0, 0, 0, 0];
  writeVarint(bytes, byTopic.size);
  for (const [topic, partitions] of byTopic) {
    const name = Buffer.from(topic);
    writeVarint(bytes, name.length);
    bytes.push(...name);
    writeVarint(bytes, partitions.length);
    let before = 0;
    for (const { partition, load } of partitions.toSorted((a, b) => a.partition - b.partition)) {
      writeVarint(bytes, partition - before);
      bytes.push(codeOfLoad(load));
      before = partition;
    }
  }
  const body = Buffer.from(bytes);
  body.writeInt32BE(claim.generation, MAGIC.length + 2);
  const sum = Buffer.alloc(4);
  sum.writeUInt32BE(crc32(body));
  return Buffer.concat([body, sum]);
}

/** @returns undefined when this is no claim of ours, or of a version that is not known here */
export function decodeClaim(data: Uint8Array | null | undefined): Claim | undefined {
  if (!data || data.length < HEAD_BYTES + 5) return undefined;
  const all = Buffer.from(data.buffer, data.byteOffset, data.byteLength);
  const body = all.subarray(0, -4);
  if (!body.subarray(0, MAGIC.length).equals(MAGIC) || body[MAGIC.length] !== VERSION) return undefined;
  if (all.readUInt32BE(body.length) !== crc32(body)) return undefined;
  const reader = new Reader(body, HEAD_BYTES);
  const partitions: ClaimedPartition[] = [];
  for (let topics = reader.varint(); topics > 0 && reader.sound; topics--) {
    const topic = reader.text(reader.varint());
    let partition = 0;
    for (let count = reader.varint(); count > 0 && reader.sound; count--) {
      partition += reader.varint();
      partitions.push({ topic, partition, load: loadOfCode(reader.byte()) });
    }
  }
  if (!reader.sound || !reader.atEnd) return undefined;
  return {
    leaving: (body[MAGIC.length + 1]! & LEAVING) !== 0,
    generation: body.readInt32BE(MAGIC.length + 2),
    partitions,
  };
}

/** Reads within bounds; whoever reads past them gets zeros, and `sound` is false from then on. */
class Reader {
  readonly #data: Buffer;
  #at: number;
  sound = true;

  constructor(data: Buffer, at: number) {
    this.#data = data;
    this.#at = at;
  }

  get atEnd(): boolean {
    return this.#at === this.#data.length;
  }

  byte(): number {
    const value = this.#data[this.#at++];
    if (value === undefined) this.sound = false;
    return value ?? 0;
  }

  varint(): number {
    let value = 0;
    for (let scale = 1; ; scale *= 0x80) {
      const byte = this.byte();
      value += (byte & 0x7f) * scale;
      if (byte < 0x80) break;
      if (scale > 2 ** 28) {
        this.sound = false;
        break;
      }
    }
    if (value > 0x7fffffff) this.sound = false;
    return this.sound ? value : 0;
  }

  text(length: number): string {
    const end = this.#at + length;
    if (end > this.#data.length) this.sound = false;
    const text = this.sound ? this.#data.toString('utf8', this.#at, end) : '';
    this.#at = end;
    return text;
  }
}
