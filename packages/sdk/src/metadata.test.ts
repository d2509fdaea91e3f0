import { crc32 } from 'node:zlib';
import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { decodeMetadata, encodeMetadata, METADATA_LIMIT, type Signal, skipMapRoom } from './metadata.ts';

const signal: Signal = {
  writer: 'k3x9',
  counter: 17,
  offset: 48213,
  sentAt: 1767225600000,
  arrivalPerSecond: 58.25,
  laneRate: 10.4,
  lanes: 10,
  limit: 10,
  limitProven: true,
  bestRate: 96,
  p95Seconds: 0.215,
  paused: undefined,
  doneAhead: 0,
  deferred: 0,
  dueAt: undefined,
  oldestAt: undefined,
  rebalanceSeconds: 0,
};

/** What a text says that carries no more than a signal. */
const nothing = { skipMap: '', owner: undefined, suspects: '' };

const count = fc.integer({ min: 0, max: Number.MAX_SAFE_INTEGER });
/** Values that six significant digits hold exactly. */
const rate = fc.double({ min: 0, max: 1e9, noNaN: true }).map((value) => Math.abs(Number(value.toPrecision(6))));
const signals: fc.Arbitrary<Signal> = fc.record({
  writer: fc.string({ maxLength: 128, unit: 'binary' }).map((text) => text.slice(0, 128)),
  counter: count,
  offset: count,
  sentAt: fc.integer({ min: 0, max: 8.64e15 }),
  arrivalPerSecond: rate,
  laneRate: rate,
  lanes: count,
  limit: count,
  limitProven: fc.boolean(),
  bestRate: rate,
  p95Seconds: rate,
  paused: fc.constantFrom('breaker', 'memory', 'operator', undefined),
  doneAhead: count,
  deferred: count,
  dueAt: fc.option(fc.integer({ min: 0, max: 8.64e15 }), { nil: undefined }),
  oldestAt: fc.option(fc.integer({ min: 0, max: 8.64e15 }), { nil: undefined }),
  rebalanceSeconds: rate,
});

describe('metadata', () => {
  test('a signal comes back as it was written', () => {
    expect(decodeMetadata(encodeMetadata(signal), 48213)).toEqual({ signal, ...nothing });
    fc.assert(
      fc.property(signals, (each) => {
        expect(decodeMetadata(encodeMetadata(each), each.offset)).toEqual({ signal: each, ...nothing });
      }),
    );
  });

  test('a skip map rides along, within the room that is left for it', () => {
    const room = skipMapRoom(signal);
    const text = encodeMetadata(signal, { skipMap: `r${'A'.repeat(room - 1)}` });
    expect(text).toHaveLength(METADATA_LIMIT);
    expect(decodeMetadata(text, 48213)).toEqual({ signal, ...nothing, skipMap: `r${'A'.repeat(room - 1)}` });
    expect(decodeMetadata(text, 48214)).toEqual({ ignored: 'other-offset' });
  });

  test('whether the owner left, and its suspects, ride along and take from the room of the skip map', () => {
    for (const owner of ['at-work', 'left', undefined] as const) {
      const legacy = { owner, suspects: 'a2.k3x9@0.AQEC', skipMap: 'rAQIB' };
      expect(decodeMetadata(encodeMetadata(signal, legacy), 48213)).toEqual({ signal, ...legacy });
      const room = skipMapRoom(signal, legacy, 1_000);
      expect(encodeMetadata(signal, { ...legacy, skipMap: 'r'.repeat(room) })).toHaveLength(1_000);
    }
    expect(skipMapRoom(signal, {}, 50)).toBe(0);
  });

  test('a state that a later version may add says nothing', () => {
    const body = 'w=k3x9 n=1 o=7 t=0 a=0 r=0 l=0 c=1 b=0 q=0 s=z';
    const text = `weir/1 ${crc32(body).toString(16).padStart(8, '0')} ${body}`;
    expect(decodeMetadata(text, 7)).toMatchObject({ owner: undefined });
  });

  test('the text is ASCII and far below Kafka’s limit, whatever is in the signal', () => {
    fc.assert(
      fc.property(
        fc.record({ ...Object.fromEntries(Object.keys(signal).map((key) => [key, fc.double()])), writer: fc.string() }),
        (wild) => {
          const text = encodeMetadata({ ...signal, ...wild, paused: undefined, limitProven: false } as Signal);
          expect(text).toMatch(/^[ -~]*$/);
          expect(text.length).toBeLessThan(METADATA_LIMIT);
          expect(decodeMetadata(text, -1).ignored).toBe('other-offset');
        },
      ),
    );
    expect(encodeMetadata({ ...signal, writer: '\u{1f600}'.repeat(5000) }).length).toBeLessThan(METADATA_LIMIT);
    expect(encodeMetadata(signal).length).toBeLessThan(200);
  });

  test('decoding never throws and gives either a signal or a reason', () => {
    fc.assert(
      fc.property(
        fc.oneof(
          fc.string(),
          fc.string().map((rest) => `weir/1 ${rest}`),
        ),
        fc.integer(),
        (text, offset) => {
          const decoded = decodeMetadata(text, offset);
          expect(decoded.signal !== undefined || decoded.ignored !== undefined).toBe(true);
        },
      ),
    );
    expect(decodeMetadata(null, 0)).toEqual({ ignored: 'empty' });
    expect(decodeMetadata(undefined, 0)).toEqual({ ignored: 'empty' });
    expect(decodeMetadata('', 0)).toEqual({ ignored: 'empty' });
  });

  test('what another client wrote is foreign', () => {
    for (const text of ['consumer-1', '{"v":1}', 'weir', 'weir/x 1', 'weird/1 2', ' weir/1 '])
      expect(decodeMetadata(text, 0)).toEqual({ ignored: 'foreign' });
  });

  test('a newer version is left alone, even when its shape is unknown', () => {
    expect(decodeMetadata('weir/2 anything at all', 0)).toEqual({ ignored: 'newer' });
  });

  test('any changed or cut character is damage', () => {
    const text = encodeMetadata(signal);
    fc.assert(
      fc.property(fc.nat(text.length - 8), fc.constantFrom('0', '1', '9', 'x', ' ', '='), (at, character) => {
        const place = at + 7;
        if (text[place] === character) return;
        const changed = text.slice(0, place) + character + text.slice(place + 1);
        expect(decodeMetadata(changed, 48213)).toEqual({ ignored: 'damaged' });
        expect(decodeMetadata(text.slice(0, place), 48213)).toEqual({ ignored: 'damaged' });
      }),
    );
  });

  test('a text beside another offset than its own is ignored (mirrors copy it)', () => {
    expect(decodeMetadata(encodeMetadata(signal), 48214)).toEqual({ ignored: 'other-offset' });
  });
});
