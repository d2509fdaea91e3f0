import { createServer, type Socket } from 'node:net';
import { afterEach, describe, expect, test } from 'vitest';
import { type FrameWatch, readGroupFrame, Sockets } from './kafkajs-frames.ts';

function text(value: string): Buffer {
  const head = Buffer.alloc(2);
  head.writeInt16BE(Buffer.byteLength(value));
  return Buffer.concat([head, Buffer.from(value)]);
}

function int32(value: number): Buffer {
  const bytes = Buffer.alloc(4);
  bytes.writeInt32BE(value);
  return bytes;
}

function frame(key: number, version: number, ...body: Buffer[]): Buffer {
  const head = Buffer.alloc(8);
  head.writeInt16BE(key, 0);
  head.writeInt16BE(version, 2);
  head.writeInt32BE(42, 4);
  const all = Buffer.concat([head, text('client-ü'), ...body]);
  return Buffer.concat([int32(all.length), all]);
}

const join = (group: string, member: string) =>
  frame(11, 5, text(group), int32(30_000), int32(60_000), text(member), int32(0));
const sync = (group: string, generation: number, member: string) =>
  frame(14, 3, text(group), int32(generation), text(member), int32(0));
const heartbeat = (group: string) => frame(12, 3, text(group), int32(3), text('m'), text(''));
const metadata = () => frame(3, 6, int32(0));

describe('readGroupFrame', () => {
  test('reads group, member and generation of what belongs to a group', () => {
    expect(readGroupFrame(join('g', 'm-1'))).toMatchObject({ key: 11, group: 'g', generation: -1, memberId: 'm-1' });
    expect(readGroupFrame(join('g', ''))).toMatchObject({ memberId: '' });
    expect(readGroupFrame(sync('gruppe-ü', 17, 'm-1'))).toMatchObject({
      key: 14,
      group: 'gruppe-ü',
      generation: 17,
      memberId: 'm-1',
    });
    expect(readGroupFrame(frame(11, 0, text('g'), int32(1), text('m')))).toMatchObject({ group: 'g', memberId: 'm' });
  });

  test('leaves everything else alone', () => {
    expect(readGroupFrame(metadata())).toBeUndefined();
    expect(readGroupFrame(Buffer.from('\0user\x0bpassword-of-somebody'))).toBeUndefined();
    expect(readGroupFrame(Buffer.alloc(0))).toBeUndefined();
    const whole = sync('group', 3, 'member');
    for (let length = 0; length < whole.length; length++)
      expect(readGroupFrame(whole.subarray(0, length))).toBeUndefined();
    const cut = Buffer.concat([int32(14), whole.subarray(4, 18)]);
    expect(readGroupFrame(cut)).toBeUndefined();
  });
});

describe('Sockets', () => {
  const ends: (() => void)[] = [];
  afterEach(() => {
    for (const end of ends.splice(0)) end();
  });

  /** A listening socket, and what has arrived at it. */
  async function open(watch: FrameWatch) {
    const arrived: Buffer[] = [];
    const waiting: (() => void)[] = [];
    const server = createServer((peer) => {
      peer.on('error', () => undefined);
      peer.on('data', (bytes) => {
        arrived.push(bytes);
        for (const wake of waiting.splice(0)) wake();
      });
    });
    await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
    const address = server.address();
    const port = typeof address === 'object' && address ? address.port : 0;
    const sockets = new Sockets(watch);
    const socket = await new Promise<Socket>((resolve) => {
      const made: Socket = sockets.factory({ host: '127.0.0.1', port, onConnect: () => resolve(made) });
      made.on('error', () => undefined);
    });
    ends.push(() => {
      socket.destroy();
      server.close();
    });
    const bytes = () => Buffer.concat(arrived);
    const until = async (length: number) => {
      while (bytes().length < length) await new Promise<void>((resolve) => waiting.push(resolve));
    };
    return { sockets, socket, bytes, until, port };
  }

  const watching = (group: string, joining: FrameWatch['joining'], rejoin = false) => {
    const seen: unknown[] = [];
    const watch: FrameWatch = {
      group,
      joining: (memberId) => {
        seen.push(['join', memberId]);
        return joining(memberId);
      },
      syncing: (generation, memberId) => seen.push(['sync', generation, memberId]),
      beating: () => {
        seen.push(['beat']);
        return rejoin;
      },
    };
    return { watch, seen };
  };

  test('a JoinGroup is held until it is let go, while what comes after it passes', async () => {
    const gate = Promise.withResolvers<void>();
    const { watch, seen } = watching('g', () => gate.promise);
    const { socket, bytes, until } = await open(watch);
    socket.write(join('g', 'm'), 'binary');
    socket.write(heartbeat('g'), 'binary');
    socket.write(metadata(), 'binary');
    await until(heartbeat('g').length + metadata().length);
    expect(bytes()).toEqual(Buffer.concat([heartbeat('g'), metadata()]));
    gate.resolve();
    await until(bytes().length + join('g', 'm').length);
    expect(bytes().subarray(-join('g', 'm').length)).toEqual(join('g', 'm'));
    expect(seen).toEqual([['join', 'm'], ['beat']]);
  });

  test('a heartbeat that is to bring about a join says a generation that there is not, and nothing else differs', async () => {
    const { watch } = watching('g', () => undefined, true);
    const { socket, bytes, until } = await open(watch);
    const sent = heartbeat('g');
    socket.write(sent, 'binary');
    await until(sent.length);
    expect(readGroupFrame(bytes())).toMatchObject({ key: 12, group: 'g', generation: -1, memberId: 'm' });
    const restored = Buffer.from(bytes());
    restored.writeInt32BE(3, readGroupFrame(sent)!.generationAt);
    expect(restored).toEqual(heartbeat('g'));
    expect(sent).toEqual(heartbeat('g'));
  });

  test('a hold that fails lets the frame go too', async () => {
    const { watch } = watching('g', () => Promise.reject(new Error('no')));
    const { socket, bytes, until } = await open(watch);
    socket.write(join('g', 'm'), 'binary');
    await until(join('g', 'm').length);
    expect(bytes()).toEqual(join('g', 'm'));
  });

  test('frames of other groups are neither held nor told', async () => {
    const { watch, seen } = watching('g', () => new Promise(() => undefined));
    const { socket, bytes, until } = await open(watch);
    const frames = Buffer.concat([join('other', 'm'), sync('other', 1, 'm'), sync('g', 5, 'm')]);
    for (const one of [join('other', 'm'), sync('other', 1, 'm'), sync('g', 5, 'm')]) socket.write(one, 'binary');
    await until(frames.length);
    expect(bytes()).toEqual(frames);
    expect(seen).toEqual([['sync', 5, 'm']]);
  });

  test('after `destroy` connections break and none is opened', async () => {
    const { watch } = watching('g', () => undefined);
    const { sockets, socket, port } = await open(watch);
    const closed = new Promise((resolve) => socket.once('close', resolve));
    sockets.destroy('over');
    await closed;
    expect(() => sockets.factory({ host: '127.0.0.1', port, onConnect: () => undefined })).toThrow('over');
  });
});
