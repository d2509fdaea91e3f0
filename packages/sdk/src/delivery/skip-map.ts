/**
 * Work that is finished above the watermark, written small, so that the next owner does not repeat it. The map travels
 * in the commit's metadata beside the watermark it belongs to, and is void beside any other offset.
 *
 *     watermark 101     101 .  102 done  103 done  104 .  105 done
 *     runs              1 unfinished, 2 done, 1 unfinished, 1 done          -> varints, base64:  rAQIBAQ
 *     bitset            0 1 1 0 1                                           -> bytes, base64:    bFg
 *
 * Whichever is shorter is written, with a letter that says which (and so which version). A map that would not fit is cut
 * at the end: what is left out is handled again after a crash, nothing else happens.
 */
import { readVarints, writeVarint } from '../varint.ts';

/** Offsets [from, to), all done; sorted, apart from each other. */
export interface DoneRange {
  readonly from: number;
  readonly to: number;
}

const RUNS = 'r';
const BITS = 'b';
/** Longest stretch above the watermark that a bitset is tried for, in offsets: 4,096 characters hold 24,576 bits. */
const MOST_BITS = 24_576;

export interface EncodedSkipMap {
  readonly text: string;
  /** False when the end was cut off to fit. */
  readonly whole: boolean;
}

/**
 * @param watermark  the committed offset
 * @param ranges     done above it
 * @param room       characters
 */
export function encodeSkipMap(watermark: number, ranges: readonly DoneRange[], room: number): EncodedSkipMap {
  if (ranges.length === 0) return { text: '', whole: true };
  const runs = encodeRuns(watermark, ranges, room);
  const span = ranges[ranges.length - 1]!.to - watermark;
  if (span <= MOST_BITS && 1 + base64Length(Math.ceil(span / 8)) <= room) {
    const bits = encodeBits(watermark, ranges, span);
    if (!runs.whole || bits.length < runs.text.length) return { text: bits, whole: true };
  }
  return runs;
}

/** @returns undefined when the text is no skip map of a known form */
export function decodeSkipMap(watermark: number, text: string): DoneRange[] | undefined {
  if (text === '') return [];
  const body = text.slice(1);
  if (!/^[A-Za-z0-9_-]*$/.test(body)) return undefined;
  const bytes = Buffer.from(body, 'base64url');
  if (text[0] === RUNS) return decodeRuns(watermark, bytes);
  if (text[0] === BITS) return decodeBits(watermark, bytes);
  return undefined;
}

function encodeRuns(watermark: number, ranges: readonly DoneRange[], room: number): EncodedSkipMap {
  const most = Math.floor(((room - 1) * 3) / 4);
  const bytes: number[] = [];
  let at = watermark;
  for (const { from, to } of ranges) {
    const before = bytes.length;
    writeVarint(bytes, from - at);
    writeVarint(bytes, to - from);
    if (bytes.length > most) {
      bytes.length = before;
      return { text: bytes.length === 0 ? '' : RUNS + Buffer.from(bytes).toString('base64url'), whole: false };
    }
    at = to;
  }
  return { text: RUNS + Buffer.from(bytes).toString('base64url'), whole: true };
}

function decodeRuns(watermark: number, bytes: Buffer): DoneRange[] | undefined {
  const numbers = readVarints(bytes);
  if (numbers === undefined || numbers.length % 2 !== 0) return undefined;
  const ranges: DoneRange[] = [];
  let at = watermark;
  for (let place = 0; place < numbers.length; place += 2) {
    const from = at + numbers[place]!;
    at = from + numbers[place + 1]!;
    if (at <= from || !Number.isSafeInteger(at)) return undefined;
    ranges.push({ from, to: at });
  }
  return ranges;
}

function encodeBits(watermark: number, ranges: readonly DoneRange[], span: number): string {
  const bytes = Buffer.alloc(Math.ceil(span / 8));
  for (const { from, to } of ranges)
    for (let offset = from; offset < to; offset++) {
      const bit = offset - watermark;
      bytes[bit >> 3]! |= 1 << (bit & 7);
    }
  return BITS + bytes.toString('base64url');
}

function decodeBits(watermark: number, bytes: Buffer): DoneRange[] {
  const ranges: DoneRange[] = [];
  let from = -1;
  for (let bit = 0; bit <= bytes.length * 8; bit++) {
    const done = bit < bytes.length * 8 && (bytes[bit >> 3]! & (1 << (bit & 7))) !== 0;
    if (done && from < 0) from = watermark + bit;
    else if (!done && from >= 0) {
      ranges.push({ from, to: watermark + bit });
      from = -1;
    }
  }
  return ranges;
}

function base64Length(bytes: number): number {
  return Math.ceil((bytes * 4) / 3);
}
