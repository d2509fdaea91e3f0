/**
 * Reads the answers to a consumer's fetches in place of kafkajs, which makes some twenty objects for every record (half
 * of what a worker costs that does nothing). kafkajs gets one message for each record batch, with just what it looks at:
 * the last offset, so that positions, seeks and lag are what they were. The intake reads the records of the
 * batches, where they lie, into columns (record-columns.ts).
 *
 * Their checksums are looked at here too, which kafkajs does not do. A batch whose checksum does not fit is left out, as if
 * the fetch had been cut off before it, and so asked for once more: what was changed on its way comes right. If it does not
 * fit then either, it cannot be read, and is reported and stepped over like any other such batch.
 *
 * The way in is the `Cluster` that kafkajs hands to partition assigners (kafkajs-requests.ts). If a broker has none (a fork),
 * or a log holds messages of before Kafka 0.11, kafkajs reads the fetch itself.
 */
import { describeError } from '@weir/core';
import kafkajs, { type Cluster } from 'kafkajs';
import { type Protocol, replaceRequests } from './kafkajs-requests.ts';
import { unreadableReason } from './kafkajs-unreadable.ts';
import { isAbortMarker, isSound, MAGIC, MAGIC_AT, type RecordBatch, readBatches } from './record-batch.ts';

/** A record batch as one of kafkajs's messages. */
export class WholeBatch {
  /** kafkajs drops messages before the position that it asked for; a batch that begins before it must not be. */
  readonly offset: string;
  /** Nothing in it is anybody's work (a marker, an aborted transaction, all compacted away): kafkajs steps over it. */
  readonly isControlRecord: boolean;
  readonly key = null;
  readonly value = null;
  /** Decompressed. */
  readonly batch: RecordBatch;
  /** Why it cannot be read; undefined when, so far, it can. */
  readonly unreadable: string | undefined;

  constructor(batch: RecordBatch, isNobodys: boolean, unreadable: string | undefined) {
    this.offset = String(batch.lastOffset);
    this.isControlRecord = isNobodys;
    this.batch = batch;
    this.unreadable = unreadable;
  }
}

interface Transaction {
  readonly producerId: bigint;
  readonly firstOffset: number;
}

/** Batches whose checksum did not fit, by their place: they have been asked for once more. */
export type Doubts = Set<string>;

const FETCH = 1;

/** From now on the cluster's fetches are read here. */
export function readFetchesOf(cluster: Cluster): void {
  const doubts: Doubts = new Set();
  replaceRequests(cluster, FETCH, (made) => readHere(made, doubts));
}

function readHere(protocol: Protocol, doubts: Doubts): Protocol {
  const { request, response } = protocol;
  return {
    ...protocol,
    response: {
      parse: (data) => response.parse(data),
      decode: async (data) => (await readFetch(request.apiVersion, data, doubts)) ?? response.decode(data),
    },
  };
}

/**
 * @param version  of the Fetch API
 * @param doubts   kept from one fetch to the next
 * @returns        what kafkajs makes of the answer, with whole batches for messages; undefined when it has to read it itself
 */
export async function readFetch(
  version: number,
  data: Buffer,
  doubts: Doubts = new Set(),
): Promise<FetchAnswer | undefined> {
  if (version < 4 || version > 11) return undefined;
  const cursor = new Cursor(data);
  const throttleMs = cursor.int32();
  const head = version >= 7 ? { errorCode: cursor.int16(), sessionId: cursor.int32() } : {};
  const responses: FetchAnswer['responses'] = [];
  for (let topics = cursor.int32(); topics > 0; topics--) {
    const topicName = cursor.text();
    const partitions: FetchedPartition[] = [];
    for (let count = cursor.int32(); count > 0; count--) {
      const partition = cursor.int32();
      const errorCode = cursor.int16();
      const highWatermark = String(cursor.int64());
      const lastStableOffset = String(cursor.int64());
      const lastStartOffset = version >= 5 ? { lastStartOffset: String(cursor.int64()) } : {};
      const aborted: Transaction[] = [];
      for (let left = cursor.int32(); left > 0; left--)
        aborted.push({ producerId: cursor.int64(), firstOffset: Number(cursor.int64()) });
      const replica = version >= 11 ? { preferredReadReplica: cursor.int32() } : {};
      const batches = cursor.batches();
      if (batches === undefined) return undefined;
      partitions.push({
        partition,
        errorCode,
        highWatermark,
        lastStableOffset,
        ...lastStartOffset,
        ...replica,
        // What was aborted is nobody's already.
        abortedTransactions: [],
        messages: await messagesFor(
          trusted(batches, `${topicName}/${partition}`, Number(highWatermark), doubts),
          aborted,
        ),
      });
    }
    responses.push({ topicName, partitions });
  }
  // Since version 8 it is for the client to wait.
  const throttle =
    version >= 8 ? { throttleTime: 0, clientSideThrottleTime: throttleMs } : { throttleTime: throttleMs };
  return { ...throttle, ...head, responses };
}

interface FetchedPartition {
  readonly partition: number;
  readonly errorCode: number;
  readonly highWatermark: string;
  readonly lastStableOffset: string;
  readonly lastStartOffset?: string;
  readonly preferredReadReplica?: number;
  readonly abortedTransactions: readonly [];
  readonly messages: WholeBatch[];
}

export interface FetchAnswer {
  readonly throttleTime: number;
  readonly clientSideThrottleTime?: number;
  readonly errorCode?: number;
  readonly sessionId?: number;
  readonly responses: { readonly topicName: string; readonly partitions: FetchedPartition[] }[];
}

/** A batch, or what is known of one whose checksum does not fit, for the second time. */
type Read = RecordBatch & { readonly broken?: true };

/** The batches up to the first whose checksum does not fit, unless it did not the last time. */
function trusted(batches: readonly RecordBatch[], place: string, end: number, doubts: Doubts): Read[] {
  const read: Read[] = [];
  for (const [index, batch] of batches.entries()) {
    if (isSound(batch)) {
      read.push(batch);
      continue;
    }
    const name = `${place}@${batch.firstOffset}`;
    if (!doubts.delete(name)) {
      doubts.add(name);
      break;
    }
    // Its head is covered by the checksum as well: where it ends is better told by what follows.
    const { firstOffset } = batch;
    const last = (batches[index + 1]?.firstOffset ?? Math.min(batch.lastOffset + 1, end)) - 1;
    read.push({ ...batch, lastOffset: Math.max(firstOffset, last), broken: true });
  }
  return read;
}

/** An aborted transaction lasts from its first offset to its marker, whatever other producers write in between. */
async function messagesFor(batches: readonly Read[], aborted: Transaction[]): Promise<WholeBatch[]> {
  const messages: WholeBatch[] = [];
  aborted.sort((a, b) => a.firstOffset - b.firstOffset);
  let begun = 0;
  const dead = new Set<bigint>();
  for (const batch of batches) {
    while (begun < aborted.length && aborted[begun]!.firstOffset <= batch.lastOffset)
      dead.add(aborted[begun++]!.producerId);
    if (batch.broken) messages.push(new WholeBatch(batch, false, 'its checksum does not fit its bytes'));
    else if (batch.isControl) {
      if (isAbortMarker(batch)) dead.delete(batch.producerId);
      messages.push(new WholeBatch(batch, true, undefined));
    } else if (batch.count === 0 || (batch.inTransaction && dead.has(batch.producerId)))
      messages.push(new WholeBatch(batch, true, undefined));
    else if (batch.codec === 0) messages.push(new WholeBatch(batch, false, undefined));
    else messages.push(await decompressed(batch));
  }
  return messages;
}

/**
 * Codecs are in kafkajs's table. Ours (kafkajs-codecs.ts) give bytes with a reason for what they cannot read; one that
 * the application has registered since may throw.
 */
async function decompressed(batch: RecordBatch): Promise<WholeBatch> {
  const table = kafkajs.CompressionCodecs as Record<number, (() => Codec) | undefined>;
  const codec = table[batch.codec];
  if (codec === undefined) return new WholeBatch(batch, false, `its codec ${batch.codec} is not known`);
  try {
    const bytes = await codec().decompress(batch.bytes.subarray(batch.begin, batch.end));
    return new WholeBatch({ ...batch, bytes, begin: 0, end: bytes.length }, false, unreadableReason(bytes));
  } catch (error) {
    return new WholeBatch(batch, false, `its codec ${batch.codec} has failed: ${describeError(error)}`);
  }
}

interface Codec {
  decompress(buffer: Buffer): Promise<Buffer>;
}

class Cursor {
  readonly #bytes: Buffer;
  #at = 0;

  constructor(bytes: Buffer) {
    this.#bytes = bytes;
  }

  int16(): number {
    this.#at += 2;
    return this.#bytes.readInt16BE(this.#at - 2);
  }

  int32(): number {
    this.#at += 4;
    return this.#bytes.readInt32BE(this.#at - 4);
  }

  int64(): bigint {
    this.#at += 8;
    return this.#bytes.readBigInt64BE(this.#at - 8);
  }

  text(): string {
    const length = this.int16();
    this.#at += Math.max(0, length);
    return this.#bytes.toString('utf8', this.#at - Math.max(0, length), this.#at);
  }

  /** Undefined when they are of an older format. */
  batches(): RecordBatch[] | undefined {
    const length = this.int32();
    const begin = this.#at;
    const end = begin + length;
    if (length <= 0 || end > this.#bytes.length) return [];
    this.#at = end;
    if (begin + MAGIC_AT < end && this.#bytes[begin + MAGIC_AT] !== MAGIC) return undefined;
    return readBatches(this.#bytes, begin, end);
  }
}
