import { once } from 'node:events';
import { createServer, type IncomingMessage, type Server, type ServerResponse } from 'node:http';
import type { AddressInfo, Socket } from 'node:net';
import { setTimeout as wait } from 'node:timers/promises';
import { Agent } from 'undici';
import { afterEach, describe, expect, test } from 'vitest';
import { exchange, type HttpAnswer } from './exchange.ts';

const stops: (() => Promise<unknown>)[] = [];
afterEach(async () => {
  for (const stop of stops.splice(0).reverse()) await stop();
});

const listening = async (server: Server): Promise<URL> => {
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  stops.push(async () => {
    server.closeAllConnections();
    server.close();
  });
  return new URL(`http://127.0.0.1:${(server.address() as AddressInfo).port}/file?x=1`);
};
const served = (answer: (request: IncomingMessage, response: ServerResponse) => void) => {
  const sockets = new Set<Socket>();
  const server = createServer(answer).on('connection', (socket) => sockets.add(socket));
  return listening(server).then((url) => ({ url, sockets }));
};
const opened = (): Agent => {
  const agent = new Agent({ headersTimeout: 2000, bodyTimeout: 2000, pipelining: 1 });
  stops.push(() => agent.destroy());
  return agent;
};
const signal = () => new AbortController().signal;
const headers = { accept: '*/*', 'user-agent': 'exchange-test' };
const read = async ({ body }: HttpAnswer) => {
  const chunks: Buffer[] = [];
  for await (const chunk of body) chunks.push(chunk);
  return Buffer.concat(chunks);
};
const until = async (what: () => boolean) => {
  for (const end = performance.now() + 5_000; !what(); await wait(5))
    if (performance.now() > end) throw new Error('late');
};

describe('an exchange', () => {
  test('asks with path, query and headers, and gives status, headers and body', async () => {
    const { url } = await served((request, response) => {
      response.writeHead(203, { 'X-Kind': 'some', 'set-cookie': ['a=1', 'b=2'] });
      response.end(`${request.method} ${request.url} ${request.headers['user-agent']}`);
    });
    const answer = await exchange(opened(), url, { headers, signal: signal() });
    expect(answer).toMatchObject({ statusCode: 203, headers: { 'x-kind': 'some', 'set-cookie': ['a=1', 'b=2'] } });
    expect((await read(answer)).toString()).toBe('GET /file?x=1 exchange-test');
  });

  test('steps over what comes before the answer', async () => {
    const { url } = await served((_, response) => {
      response.writeEarlyHints({ link: '</style.css>; rel=preload' });
      response.end('file');
    });
    const answer = await exchange(opened(), url, { headers, signal: signal() });
    expect([answer.statusCode, (await read(answer)).toString()]).toEqual([200, 'file']);
  });

  test('that was read to its end leaves its connection to the next one', async () => {
    const { url, sockets } = await served((_, response) => response.end(Buffer.alloc(200_000)));
    const agent = opened();
    for (let turn = 0; turn < 3; turn++) {
      expect(await read(await exchange(agent, url, { headers, signal: signal() }))).toHaveLength(200_000);
      // undici waits for a turn of the event loop before it uses a connection again.
      await wait(5);
    }
    expect(sockets.size).toBe(1);
  });

  test('that is not read holds the server back, and goes on when it is', async () => {
    const total = 64 * 1024 * 1024;
    let sent = 0;
    const { url } = await served((_, response) => {
      response.setHeader('content-length', total);
      const more = () => {
        while (sent < total) {
          sent += 65_536;
          if (!response.write(Buffer.alloc(65_536))) {
            response.once('drain', more);
            return;
          }
        }
        response.end();
      };
      more();
    });
    const answer = await exchange(opened(), url, { headers, signal: signal() });
    await wait(300);
    const held = sent;
    // What is on its way in sockets' buffers is megabytes; what is unread here is not.
    expect(held).toBeLessThan(total / 2);
    await wait(200);
    expect(sent).toBe(held);
    let bytes = 0;
    for await (const chunk of answer.body) bytes += chunk.length;
    expect(bytes).toBe(total);
  });

  test('whose reader stops early closes its connection', async () => {
    const { url, sockets } = await served((_, response) => {
      response.setHeader('content-length', 1_000_000);
      response.write(Buffer.alloc(1000));
    });
    const answer = await exchange(opened(), url, { headers, signal: signal() });
    for await (const _ of answer.body) break;
    await until(() => [...sockets].every((socket) => socket.destroyed));
    expect(await answer.body.next()).toEqual({ done: true, value: undefined });
  });

  test('whose connection breaks rejects, whether headers were there or not', async () => {
    const { url } = await served((request, response) => {
      if (request.url === '/none') response.socket?.destroy();
      else {
        response.setHeader('content-length', 1000);
        response.write('abc');
        setTimeout(() => response.socket?.destroy(), 20);
      }
    });
    const agent = opened();
    await expect(exchange(agent, new URL('/none', url), { headers, signal: signal() })).rejects.toThrow();
    const answer = await exchange(agent, url, { headers, signal: signal() });
    await expect(read(answer)).rejects.toThrow();
    await expect(answer.body.next()).rejects.toThrow();
  });

  test('ends with its signal’s reason: before it is sent, while it connects, before the headers, within the body', async () => {
    const reason = new Error('enough');
    const { url, sockets } = await served((request, response) => {
      if (request.url === '/silent') return;
      response.setHeader('content-length', 1000);
      response.write('abc');
    });
    const agent = opened();
    await expect(exchange(agent, url, { headers, signal: AbortSignal.abort(reason) })).rejects.toBe(reason);
    expect(sockets.size).toBe(0);

    const never = new Agent({ connect: () => undefined });
    stops.push(() => never.destroy());
    const connecting = new AbortController();
    const unconnected = exchange(never, url, { headers, signal: connecting.signal });
    connecting.abort(reason);
    await expect(unconnected).rejects.toBe(reason);

    const silent = new AbortController();
    const unanswered = exchange(agent, new URL('/silent', url), { headers, signal: silent.signal });
    await until(() => sockets.size === 1);
    await wait(20);
    silent.abort(reason);
    await expect(unanswered).rejects.toBe(reason);

    const within = new AbortController();
    const answer = await exchange(agent, url, { headers, signal: within.signal });
    expect(await answer.body.next()).toMatchObject({ done: false });
    const rest = answer.body.next();
    within.abort(reason);
    await expect(rest).rejects.toBe(reason);
    await until(() => [...sockets].every((socket) => socket.destroyed));
  });

  test('that was given up while it connected never sends its request', async () => {
    const asked: string[] = [];
    const { url } = await served((request, response) => {
      asked.push(request.url ?? '');
      response.end();
    });
    const { buildConnector } = await import('undici');
    const connect = buildConnector({});
    const gate = Promise.withResolvers<void>();
    const agent = new Agent({
      connect: (options, callback) => void gate.promise.then(() => connect(options, callback)),
    });
    stops.push(() => agent.destroy());
    const controller = new AbortController();
    const given = exchange(agent, url, { headers, signal: controller.signal });
    controller.abort(new Error('enough'));
    await expect(given).rejects.toThrow('enough');
    gate.resolve();
    await read(await exchange(agent, new URL('/next', url), { headers, signal: signal() }));
    expect(asked).toEqual(['/next']);
  });

  test('leaves no listener on a signal that outlives it', async () => {
    const { url } = await served((_, response) => response.end('x'));
    const agent = opened();
    const listeners = new Set<unknown>();
    const watched = new AbortController().signal;
    const [add, remove] = [watched.addEventListener.bind(watched), watched.removeEventListener.bind(watched)];
    watched.addEventListener = ((type: 'abort', listener: () => void, options?: object) => {
      listeners.add(listener);
      add(type, listener, options);
    }) as never;
    watched.removeEventListener = ((type: 'abort', listener: () => void) => {
      listeners.delete(listener);
      remove(type, listener);
    }) as never;
    await read(await exchange(agent, url, { headers, signal: watched }));
    expect(listeners.size).toBe(0);
  });
});
