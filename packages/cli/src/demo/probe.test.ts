import { createServer, type Server } from 'node:http';
import type { AddressInfo } from 'node:net';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { httpProbe, openBreakers } from './probe.ts';

describe('what workers are asked', () => {
  let server: Server;
  let port: number;
  let reply: { status: number; body: string };
  beforeEach(async () => {
    server = createServer((_, response) => response.writeHead(reply.status).end(reply.body));
    await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
    port = (server.address() as AddressInfo).port;
  });
  afterEach(() => new Promise((resolve) => server.close(resolve)));

  test('ready is 200 and nothing else', async () => {
    reply = { status: 200, body: 'ready' };
    expect(await httpProbe.ready(port)).toBe(true);
    reply = { status: 503, body: 'connecting' };
    expect(await httpProbe.ready(port)).toBe(false);
    expect(await httpProbe.ready(1)).toBe(false);
  });

  test('a scaling answer is read; an old, broken or absent one is none', async () => {
    const answer = {
      desiredReplicas: 3,
      signalValue: 3.2,
      reason: 'catch-up',
      why: 'words',
      backlog: 7,
      lagSeconds: null,
    };
    reply = { status: 200, body: JSON.stringify(answer) };
    expect(await httpProbe.scaling(port)).toMatchObject({
      signalValue: 3.2,
      reason: 'catch-up',
      lagSeconds: undefined,
    });
    reply = { status: 503, body: '{"error":"too old"}' };
    expect(await httpProbe.scaling(port)).toBeUndefined();
    reply = { status: 200, body: '{"signalValue":' };
    expect(await httpProbe.scaling(port)).toBeUndefined();
    expect(await httpProbe.scaling(1)).toBeUndefined();
  });

  test('breakers that are not closed are found in the metrics', () => {
    const metrics = [
      '# HELP kafka_circuit_breaker_state 1 for the state it is in',
      'kafka_circuit_breaker_state{dependency="hosts",state="closed"} 0',
      'kafka_circuit_breaker_state{dependency="hosts",state="open"} 1',
      'kafka_circuit_breaker_state{dependency="blobs",state="closed"} 1',
      'kafka_circuit_breaker_state{dependency="blobs",state="open"} 0',
    ].join('\n');
    expect(openBreakers(metrics)).toEqual(['hosts open']);
  });
});
