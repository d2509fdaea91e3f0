/**
 * What a codec cannot decompress must not crash the consumer: it would meet the batch again after every restart, and a
 * codec, which sees compressed bytes only, cannot say where it lies. So it gives back bytes with a reason, told from
 * others by their memory, which nothing from outside can share; whoever knows the batch's place reports it.
 *
 * A client that reads its fetches with kafkajs's own decoder (kafkajs-fetch.ts says when) finds *stand-ins* in these
 * bytes, as many records as it asks for, each of which has the reason too, and the batch's head beside it.
 */

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

/** Bytes of a batch's records, uncompressed, each of which is a stand-in. */
export function standInsFor(reason: string): Buffer {
  let buffer = standIns.get(reason);
  if (!buffer) {
    buffer = Buffer.from(new ArrayBuffer(STAND_INS * STAND_IN.length)).fill(STAND_IN);
    standIns.set(reason, buffer);
    reasons.set(buffer.buffer, reason);
  }
  return buffer;
}

/** @returns why what was to become these bytes cannot be read; undefined for those of a real batch or record */
export function unreadableReason(bytes: Buffer | null): string | undefined {
  return reasons.size > 0 && bytes !== null ? reasons.get(bytes.buffer) : undefined;
}
