import { once } from 'node:events';
import { type AddressInfo, createServer, type Socket } from 'node:net';
import { silentLogger } from '@weir/core';
import kafkajs, { type Kafka } from 'kafkajs';
import { afterEach, expect, test } from 'vitest';
import { clusterOf } from './cluster.fixture.ts';
import { createClient, type KafkaClass } from './kafkajs-client.ts';
import type { OwnCluster } from './kafkajs-clusters.ts';
import { SETTINGS } from './settings.fixture.ts';

interface Connection {
  socket: Socket;
  connect(): Promise<unknown>;
  readonly requestQueue: { push(request: object): void };
}

const server = createServer();
const accepted: Socket[] = [];
server.on('connection', (socket) => accepted.push(socket));
afterEach(() => {
  for (const socket of accepted.splice(0)) socket.destroy();
  server.close();
});

/** A connection to a broker that says nothing. */
async function connect(kafka: Kafka): Promise<Connection> {
  if (!server.listening) await once(server.listen(0, '127.0.0.1'), 'listening');
  const { port } = server.address() as AddressInfo;
  const { pool } = await (clusterOf(kafka) as OwnCluster).connectionPoolBuilder!.build!({ host: '127.0.0.1', port });
  const connection = pool![0] as Connection;
  await connection.connect();
  await expect.poll(() => accepted.length).toBeGreaterThan(0);
  return connection;
}

/** Hands a request over just when kafkajs has begun to close the connection. */
function pushedWhileClosing(connection: Connection): Promise<unknown> {
  return new Promise((resolve, reject) => {
    connection.socket.once('end', () => {
      const entry = { apiKey: 9, apiName: 'OffsetFetch', apiVersion: 4, correlationId: 7, resolve, reject };
      const sendRequest = () => connection.socket.write('request');
      connection.requestQueue.push({ entry, expectResponse: true, requestTimeout: null, sendRequest });
    });
    accepted.at(-1)!.end();
  });
}

test('a request that is handed over while the broker closes the connection fails with it', async () => {
  const { kafka } = createClient({
    settings: SETTINGS,
    log: silentLogger,
    retries: 0,
    Kafka: kafkajs.Kafka as KafkaClass,
  });
  await expect(pushedWhileClosing(await connect(kafka))).rejects.toThrow('Closed connection');
});

test('kafkajs by itself never settles it', async () => {
  const kafka = new kafkajs.Kafka({
    brokers: ['127.0.0.1:1'],
    requestTimeout: 200,
    logLevel: kafkajs.logLevel.NOTHING,
  });
  const forgotten = pushedWhileClosing(await connect(kafka));
  const waited = new Promise((resolve) => setTimeout(resolve, 600, 'nothing'));
  expect(await Promise.race([forgotten, waited])).toBe('nothing');
});
