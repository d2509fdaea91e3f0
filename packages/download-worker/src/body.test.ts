import { ManualClock } from '@weir/core/testing';
import { describe, expect, test } from 'vitest';
import { Body } from './body.ts';

const chunks = (...sizes: readonly number[]) =>
  (async function* () {
    for (const size of sizes) yield Buffer.alloc(size, 'x');
  })();
const bodyOf = (
  source: AsyncIterable<Uint8Array>,
  contentLength?: number,
  maxBytes = 1000,
  clock = new ManualClock(),
) => new Body(source, { host: 'h.example', contentLength, maxBytes, clock });
const read = async (body: Body) => {
  const parts: Uint8Array[] = [];
  for await (const chunk of body) parts.push(chunk);
  return Buffer.concat(parts);
};

describe('a body', () => {
  test('shorter than its content-length is broken even when its connection ended well', async () => {
    const body = bodyOf(chunks(10, 10), 21);
    await expect(read(body)).rejects.toMatchObject({ code: 'WEIR_DOWNLOAD_TRANSFER_BROKEN' });
    expect(body.failure).toBeDefined();
  });

  test('longer than its content-length is broken too', async () => {
    await expect(read(bodyOf(chunks(10, 10), 19))).rejects.toMatchObject({ code: 'WEIR_DOWNLOAD_TRANSFER_BROKEN' });
  });

  test('over the limit ends at the chunk that crosses it, and its source is told', async () => {
    let returned = false;
    const endless = (async function* () {
      try {
        for (;;) yield Buffer.alloc(600);
      } finally {
        returned = true;
      }
    })();
    const body = bodyOf(endless);
    await expect(read(body)).rejects.toMatchObject({ code: 'WEIR_DOWNLOAD_FILE_REFUSED', rule: 'size' });
    expect(body.bytes).toBe(1200);
    expect(returned).toBe(true);
  });

  test('gives what was peeked once more, whole and in order', async () => {
    const source = (async function* () {
      for (const part of ['ab', 'cd', 'ef']) yield Buffer.from(part);
    })();
    const body = bodyOf(source, 6);
    expect((await body.peek(3)).toString()).toBe('abc');
    expect((await read(body)).toString()).toBe('abcdef');
    expect(body.bytes).toBe(6);
  });

  test('shorter than the peek is peeked whole', async () => {
    const body = bodyOf(chunks(2), 2);
    expect(await body.peek(100)).toHaveLength(2);
    expect(await read(body)).toHaveLength(2);
  });

  test('that its reader gives up is given up at the source, and is no failure of the host', async () => {
    let returned = false;
    const source = (async function* () {
      try {
        for (;;) yield Buffer.alloc(1);
      } finally {
        returned = true;
      }
    })();
    const body = bodyOf(source);
    for await (const _ of body) break;
    expect(returned).toBe(true);
    expect(body.failure).toBeUndefined();
  });

  test('knows whether it waited for the host or for the store', async () => {
    const clock = new ManualClock();
    const slowHost = (async function* () {
      await clock.sleep(500);
      yield Buffer.alloc(1);
    })();
    const body = bodyOf(slowHost, 1, 1000, clock);
    const reading = (async () => {
      for await (const _ of body) await clock.sleep(100);
    })();
    await clock.advance(500);
    expect(body.storeIsSlower).toBe(false);
    await clock.advance(100);
    await reading;
    expect([body.hostMs, body.storeMs]).toEqual([500, 100]);
  });

  test('counts a wait that has not ended yet', async () => {
    const clock = new ManualClock();
    const body = bodyOf(chunks(1, 1), 2, 1000, clock);
    const iterator = body[Symbol.asyncIterator]();
    await iterator.next();
    await clock.advance(1000);
    expect(body.storeIsSlower).toBe(true);
  });
});
