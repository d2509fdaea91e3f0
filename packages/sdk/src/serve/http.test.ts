import { connect } from 'node:net';
import { silentLogger } from '@weir/core';
import { afterEach, describe, expect, test } from 'vitest';
import { PortTakenError } from '../errors.ts';
import { type Health, type HttpServer, type ScalingReply, startHttp } from './http.ts';

const servers: HttpServer[] = [];
afterEach(async () => {
  for (const server of servers.splice(0)) await server.stop();
});

async function world(over: { metrics?: () => Promise<string>; port?: number } = {}) {
  const state: { health: Health; scaling: ScalingReply } = {
    health: { live: true, ready: false, detail: 'connecting to Kafka' },
    scaling: { status: 503, body: { error: 'no answer yet' } },
  };
  const server = await startHttp({
    port: over.port ?? 0,
    health: () => state.health,
    scaling: () => state.scaling,
    metrics: over.metrics ?? (() => Promise.resolve('up 1\n')),
    log: silentLogger,
  });
  servers.push(server);
  const ask = async (path: string, init?: RequestInit) => {
    const response = await fetch(`http://127.0.0.1:${server.port}${path}`, init);
    return { status: response.status, type: response.headers.get('content-type'), text: await response.text() };
  };
  return { server, state, ask };
}

describe('startHttp', () => {
  test('/healthz and /readyz say in words how things are', async () => {
    const { state, ask } = await world();
    expect(await ask('/healthz')).toMatchObject({ status: 200, text: 'live: connecting to Kafka\n' });
    expect(await ask('/readyz')).toMatchObject({ status: 503, text: 'not ready: connecting to Kafka\n' });
    state.health = { live: false, ready: true, detail: 'all handlers are stuck' };
    expect(await ask('/healthz')).toMatchObject({ status: 503, text: 'not live: all handlers are stuck\n' });
    expect(await ask('/readyz?verbose')).toMatchObject({ status: 200 });
  });

  test('/metrics is Prometheus text', async () => {
    const { ask } = await world();
    expect(await ask('/metrics')).toEqual({
      status: 200,
      type: 'text/plain; version=0.0.4; charset=utf-8',
      text: 'up 1\n',
    });
  });

  test('/scaling is JSON with the status of the answer', async () => {
    const { state, ask } = await world();
    expect(await ask('/scaling')).toMatchObject({ status: 503, text: '{"error":"no answer yet"}\n' });
    state.scaling = { status: 200, body: { desiredReplicas: 3 } };
    const answer = await ask('/scaling/');
    expect(answer).toMatchObject({ status: 200, type: 'application/json; charset=utf-8' });
    expect(JSON.parse(answer.text)).toEqual({ desiredReplicas: 3 });
  });

  test('HEAD has the head without the body', async () => {
    const { ask } = await world();
    expect(await ask('/metrics', { method: 'HEAD' })).toMatchObject({ status: 200, text: '' });
    expect(await ask('/readyz', { method: 'HEAD' })).toMatchObject({ status: 503, text: '' });
  });

  test('an unknown path names the known ones; other methods are refused', async () => {
    const { ask } = await world();
    const answer = await ask('/');
    expect(answer.status).toBe(404);
    expect(answer.text).toContain('/healthz /readyz /metrics /scaling');
    expect(await ask('/metrics', { method: 'POST', body: 'x' })).toMatchObject({ status: 405 });
  });

  test('a failing answer is a 500 and the next one works', async () => {
    let fails = true;
    const { ask } = await world({
      metrics: () => (fails ? Promise.reject(new Error('password=hunter2')) : Promise.resolve('ok 1\n')),
    });
    const answer = await ask('/metrics');
    expect(answer.status).toBe(500);
    expect(answer.text).not.toContain('hunter2');
    fails = false;
    expect((await ask('/metrics')).status).toBe(200);
  });

  test('a taken port is named', async () => {
    const { server } = await world();
    const second = world({ port: server.port });
    await expect(second).rejects.toThrow(PortTakenError);
    await expect(second).rejects.toMatchObject({ port: server.port });
  });

  test('stop waits for the answer under way, works twice, and frees the port', async () => {
    let finish: ((text: string) => void) | undefined;
    const { server, ask } = await world({
      metrics: () =>
        new Promise((resolve) => {
          finish = resolve;
        }),
    });
    const answer = ask('/metrics');
    while (!finish) await new Promise((resolve) => setImmediate(resolve));
    const stopped = Promise.all([server.stop(), server.stop()]);
    finish('late 1\n');
    expect((await answer).text).toBe('late 1\n');
    await stopped;
    await world({ port: server.port });
  });

  test('an idle connection does not hold the stop up', async () => {
    const { server } = await world();
    const socket = connect(server.port, '127.0.0.1');
    await new Promise((resolve) => socket.once('connect', resolve));
    const closed = new Promise((resolve) => socket.once('close', resolve));
    await server.stop();
    await closed;
  });
});
