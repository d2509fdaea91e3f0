/**
 * Claim events as they come from outside, made up from a seed. They are deliberately uneven, as real ones
 * are: `version` a number or a text, `data` an object or JSON in a string, blanks for missing fields, no attachments,
 * the same attachment twice, attachments without an assignment (which make no task).
 */
import type { Random } from '@weir/core';

const SUBTYPES = ['documentsReceived', 'documentsReceived', 'documentsReceived', 'estimateReceived', 'statusChanged'];
const NAMES = [
  'Ada Quill',
  'Tomás Ferreira',
  'Mei-Ling Zhou',
  "Siobhán O'Dowd",
  'Jörg Bauer',
  'Priya Raman',
  'Lee Okafor',
];
const STREETS = [
  '14 Alder Court',
  '2 Quarry Lane',
  '907 Old Mill Rd',
  '33 Harbour View',
  '6100 N 4th St',
  '1 Schönblick',
];
const PERILS = ['Hail', 'Water', 'Fire', 'Wind', 'Theft'];
const COUNTS = [
  [0, 4],
  [1, 12],
  [2, 22],
  [3, 26],
  [4, 18],
  [5, 12],
  [6, 6],
] as const;

/** How many attachments an event has; 3 in the mean. */
export function attachmentCount(random: Random): number {
  let left = random.next() * 100;
  for (const [count, percent] of COUNTS) {
    left -= percent;
    if (left < 0) return count;
  }
  return 3;
}

export interface MadeEvent {
  readonly traceId: string;
  /** Its attachments make tasks: there is an assignment. */
  readonly assigned: boolean;
  readonly json: string;
}

/**
 * @param at    milliseconds since the epoch, of the event
 * @param urls  its attachments; one may be named twice
 */
export function makeEvent(random: Random, at: number, traceId: string, urls: readonly string[]): MadeEvent {
  const pick = <T>(of: readonly T[]): T => of[random.below(of.length)]!;
  const number = (digits: number) => String(random.below(10 ** digits)).padStart(digits, '0');
  const assigned = random.next() >= 0.01;
  const name = pick(NAMES);
  const attachments = urls.length > 1 && random.next() < 0.03 ? [...urls, urls[0]!] : urls;
  const data = {
    ...(assigned ? { assignmentId: `${pick(['A', 'B', 'XN'])}-${number(7)}` } : {}),
    originalAssignmentId: random.next() < 0.3 ? `A-${number(7)}` : '  ',
    estimateVersion: String(1 + random.below(4)),
    description: `${pick(PERILS)} loss, ${pick(STREETS)}`,
    xnAddress: `${number(4)}.XACT`,
    carrierId: `CR${number(3)}`,
    author: name,
    note: random.next() < 0.2 ? 'Customer called twice; photos to follow.' : '',
    senderReviewerName: pick(NAMES),
    senderReviewerEmail: `reviewer${number(2)}@example.com`,
    dateTime: new Date(at - 6 * 3_600_000).toISOString().replace('Z', ''),
    adm: { coverageLoss: { claimNumber: `CLM-${number(8)}`, dateOfLoss: new Date(at - 86_400_000).toISOString() } },
    contact: {
      type: 'Client',
      name,
      contactMethods: {
        phone: { type: 'Cell', number: `555-01${number(2)}`, extension: '' },
        email: { address: `contact${number(3)}@example.com` },
      },
    },
    ...(attachments.length > 0 || random.next() < 0.5 ? { attachments } : {}),
    reference: { batch: number(6), lines: [random.below(9), random.below(9)] },
  };
  const event = {
    type: `verisk.claims.property.xn.${pick(SUBTYPES)}`,
    version: random.next() < 0.5 ? 1 : '1.0',
    utcDateTime: new Date(at).toISOString(),
    traceId,
    data: random.next() < 0.1 ? JSON.stringify(data) : data,
  };
  return { traceId, assigned, json: JSON.stringify(event) };
}

/** A trace id in the form of a UUID, from the seed. */
export function makeTraceId(random: Random): string {
  const hex = (digits: number) =>
    random
      .below(16 ** digits)
      .toString(16)
      .padStart(digits, '0');
  return `${hex(8)}-${hex(4)}-4${hex(3)}-a${hex(3)}-${hex(6)}${hex(6)}`;
}

export interface PoisonRecord {
  readonly reason: string;
  readonly value: Buffer;
}

/** A record that can never become an event, in one of several ways. */
export function makePoison(index: number, random: Random, at: number): PoisonRecord {
  const traceId = makeTraceId(random);
  const whole = makeEvent(random, at, traceId, []).json;
  const parsed = JSON.parse(whole) as Record<string, unknown>;
  switch (index % 5) {
    case 0:
      return { reason: 'JSON cut off', value: Buffer.from(whole.slice(0, Math.floor(whole.length / 2))) };
    case 1:
      return {
        reason: 'unreadable date',
        value: Buffer.from(JSON.stringify({ ...parsed, utcDateTime: 'last Tuesday' })),
      };
    case 2:
      return { reason: 'no trace id', value: Buffer.from(JSON.stringify({ ...parsed, traceId: ' ' })) };
    case 3:
      return { reason: 'not UTF-8', value: Buffer.from([0x7b, 0x22, 0xff, 0xfe, 0x00, 0x80, random.below(256)]) };
    default:
      return { reason: 'not an object', value: Buffer.from(JSON.stringify([traceId])) };
  }
}
