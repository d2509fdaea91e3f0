/**
 * Writes the requests of our producers in place of kafkajs: the same bytes, at a tenth of the price (record-batch-bytes.ts).
 * Whatever is not as our producer sends it (another version, a codec, values of another kind) kafkajs writes itself.
 */
import type { Cluster } from 'kafkajs';
import { replaceRequests } from './kafkajs-requests.ts';
import { BatchBytes, type ProducedRecord } from './record-batch-bytes.ts';

/** What kafkajs asks for. */
export interface ProduceRequest {
  readonly acks: number;
  readonly timeout: number;
  readonly transactionalId?: string | null | undefined;
  /** A number of 64 bits: a string of digits, or kafkajs's own. */
  readonly producerId: unknown;
  readonly producerEpoch: number;
  readonly compression: number;
  readonly topicData: readonly {
    readonly topic: string;
    readonly partitions: readonly {
      readonly partition: number;
      readonly firstSequence: number;
      readonly messages: readonly ProducedRecord[];
    }[];
  }[];
}

const PRODUCE = 0;
/** Their requests are the same, and hold record batches of magic 2. */
const FIRST_VERSION = 3;
const LAST_VERSION = 7;

/** From now on the cluster's produce requests are written here. */
export function writeProducesOf(cluster: Cluster): void {
  replaceRequests(cluster, PRODUCE, (made, request) => {
    const { encode } = made.request;
    if (encode === undefined) return made;
    return {
      ...made,
      request: {
        ...made.request,
        encode: async () => {
          const bytes = writeProduce(made.request.apiVersion, request as ProduceRequest);
          // As kafkajs's encoder looks to whoever puts the request's head before it.
          return bytes === undefined ? encode() : { buf: bytes, buffer: bytes };
        },
      },
    };
  });
}

/** @returns undefined when kafkajs has to write it */
export function writeProduce(version: number, request: ProduceRequest): Buffer | undefined {
  if (version < FIRST_VERSION || version > LAST_VERSION || request.compression !== 0) return undefined;
  const transactionalId = request.transactionalId ?? null;
  const batches: BatchBytes[] = [];
  let size = sizeOfText(transactionalId) + 2 + 4 + 4;
  for (const { topic, partitions } of request.topicData) {
    size += sizeOfText(topic) + 4;
    for (const { messages } of partitions) {
      if (messages.length === 0 || !messages.every(isOurs)) return undefined;
      const batch = new BatchBytes(messages);
      batches.push(batch);
      size += 8 + batch.size;
    }
  }
  const by = {
    producerId: BigInt(String(request.producerId)),
    producerEpoch: request.producerEpoch,
    transactional: transactionalId !== null,
  };
  const bytes = Buffer.allocUnsafe(size);
  let at = writeText(bytes, 0, transactionalId);
  at = bytes.writeInt16BE(request.acks, at);
  at = bytes.writeInt32BE(request.timeout, at);
  at = bytes.writeInt32BE(request.topicData.length, at);
  let next = 0;
  for (const { topic, partitions } of request.topicData) {
    at = writeText(bytes, at, topic);
    at = bytes.writeInt32BE(partitions.length, at);
    for (const { partition, firstSequence } of partitions) {
      const batch = batches[next++]!;
      at = bytes.writeInt32BE(partition, at);
      at = bytes.writeInt32BE(batch.size, at);
      at = batch.write(bytes, at, { ...by, firstSequence });
    }
  }
  return bytes;
}

function isOurs({ key, value, headers, timestamp }: ProducedRecord): boolean {
  if (!isPart(key) || !isPart(value) || !(Number.isSafeInteger(timestamp) && timestamp > 0)) return false;
  for (const name in headers) if (headers[name] === null || !isPart(headers[name])) return false;
  return true;
}

const isPart = (part: unknown): boolean => part === null || typeof part === 'string' || Buffer.isBuffer(part);

const sizeOfText = (text: string | null) => 2 + (text === null ? 0 : Buffer.byteLength(text));

function writeText(into: Buffer, at: number, text: string | null): number {
  const bytes = text === null ? -1 : Buffer.byteLength(text);
  into.writeInt16BE(bytes, at);
  if (text !== null) into.write(text, at + 2, bytes, 'utf8');
  return at + 2 + Math.max(0, bytes);
}
