import type { LookupAddress } from 'node:dns';
import { systemClock } from '@weir/core';
import { expect, test } from 'vitest';
import { file, startFaultServer, status } from './fault-server.fixture.ts';
import { type Fetcher, openFetcher } from './fetch.ts';

const never = new AbortController().signal;
const ipv4 = (...addresses: string[]): LookupAddress[] => addresses.map((address) => ({ address, family: 4 }));

async function withFetcher<T>(
  resolve: (host: string) => Promise<LookupAddress[]>,
  work: (fetcher: Fetcher) => Promise<T>,
): Promise<T> {
  const fetcher = await openFetcher({
    allowPrivate: false,
    connectTimeoutMs: 1000,
    idleTimeoutMs: 1000,
    maxBytes: 1000,
    clock: systemClock,
    resolve,
  });
  try {
    return await work(fetcher);
  } finally {
    await fetcher.close();
  }
}

const refused = { code: 'WEIR_DOWNLOAD_ADDRESS_REFUSED' };

test('a literal private address is refused without a lookup', async () => {
  await using server = await startFaultServer(file('secret'));
  const lookups: string[] = [];
  await withFetcher(
    async (host) => {
      lookups.push(host);
      return ipv4('8.8.8.8');
    },
    async (fetcher) => {
      for (const host of ['127.0.0.1', '[::1]', '[::ffff:127.0.0.1]', '0x7f.1', '2130706433', '169.254.169.254']) {
        await expect(fetcher.open(new URL(`http://${host}:${server.port}/`), never)).rejects.toMatchObject(refused);
      }
    },
  );
  expect(lookups).toEqual([]);
  expect(server.asked).toEqual([]);
});

test('one private address among public ones refuses the host', async () => {
  await withFetcher(
    async () => ipv4('8.8.8.8', '10.0.0.1'),
    (fetcher) => expect(fetcher.open(new URL('http://mixed.example/'), never)).rejects.toMatchObject(refused),
  );
});

test('a name that turns private between two requests is refused at the second connect', async () => {
  // Nothing listens on the documentation address of the first answer: what matters is that each connect asks anew, and
  // that the answer it got is the one that is checked.
  const answers = [ipv4('8.8.8.8'), ipv4('127.0.0.1')];
  await using server = await startFaultServer(file('secret'));
  let asked = 0;
  await withFetcher(
    async () => answers[Math.min(asked++, 1)]!,
    async (fetcher) => {
      const url = new URL(`http://rebinding.example:${server.port}/`);
      await fetcher.open(url, AbortSignal.timeout(200)).catch(() => undefined);
      await expect(fetcher.open(url, never)).rejects.toMatchObject(refused);
    },
  );
  expect(server.asked).toEqual([]);
});

test('a name with no usable address is a failure of the host, not a refusal', async () => {
  await withFetcher(
    async () => [],
    (fetcher) =>
      expect(fetcher.open(new URL('http://empty.example/'), never)).rejects.toMatchObject({
        code: 'WEIR_DOWNLOAD_TRANSFER_BROKEN',
      }),
  );
});

test('with private addresses allowed a name is connected to where it resolves', async () => {
  await using server = await startFaultServer(status(404));
  const fetcher = await openFetcher({
    allowPrivate: true,
    connectTimeoutMs: 1000,
    idleTimeoutMs: 1000,
    maxBytes: 1000,
    clock: systemClock,
    resolve: async () => ipv4('127.0.0.1'),
  });
  expect(await fetcher.open(new URL(server.url('/', 'files.example')), never)).toMatchObject({ kind: 'refused' });
  expect(server.asked).toEqual(['GET /']);
  await fetcher.close();
});
