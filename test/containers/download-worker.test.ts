/**
 * The download worker's image at work: the broker and the file server run outside of the container, and reach it by the
 * host's name, as in any deployment.
 */
import { createHash, randomUUID } from 'node:crypto';
import { once } from 'node:events';
import { chmod, mkdtemp, readFile, rm } from 'node:fs/promises';
import { createServer, type Server } from 'node:http';
import { type AddressInfo, connect } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as wait } from 'node:timers/promises';
import { startBroker } from '@weir/dev-broker';
import { Kafka, logLevel } from 'kafkajs';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { asked, buildImage, docker, logsOf } from './docker.ts';

/** Containers know the machine they run on by this name (`--add-host … host-gateway`). */
const HOST = 'host.docker.internal';
const TASKS = 40;

const bodyOf = (index: number) => Buffer.from(`attachment ${index}\n`.repeat(200 + index));
const sha256 = (bytes: Buffer) => createHash('sha256').update(bytes).digest('hex');

describe.skipIf(!asked)('a container of the download worker', () => {
  const container = `weir-test-${randomUUID().slice(0, 8)}`;
  let broker: Awaited<ReturnType<typeof startBroker>>;
  let files: Server;
  let folder: string;
  let kafka: Kafka;

  beforeAll(async () => {
    const image = await buildImage('download-worker');
    broker = await startBroker({ host: '0.0.0.0', advertisedHost: HOST });
    files = createServer((request, response) => {
      const index = Number(/file-(\d+)/.exec(request.url ?? '')?.[1]);
      if (index === 13) response.writeHead(404).end('gone');
      else response.writeHead(200, { 'content-type': 'text/plain' }).end(bodyOf(index));
    });
    files.listen(0, '0.0.0.0');
    await once(files, 'listening');
    folder = await mkdtemp(join(tmpdir(), 'weir-containers-'));
    // the container's user is another one than ours
    await chmod(folder, 0o777);
    kafka = new Kafka({
      brokers: broker.brokers,
      logLevel: logLevel.NOTHING,
      // out here that name means nothing: the broker is this machine
      socketFactory: ({ port, onConnect }) => connect({ host: '127.0.0.1', port }, onConnect),
    });
    const admin = kafka.admin();
    await admin.connect();
    const topics = ['pending', 'results', 'retry.5m', 'retry.10m', 'retry.20m', 'retry.40m', 'dlq'];
    await admin.createTopics({
      topics: topics.map((name) => ({ topic: `xact.downloads.${name}`, numPartitions: name === 'pending' ? 24 : 3 })),
    });
    await admin.disconnect();
    await docker(
      ...['run', '--detach', '--name', container, '--add-host', `${HOST}:host-gateway`, '--volume', `${folder}:/data`],
      ...['--env', `KAFKA_BROKERS=${broker.brokers.join(',')}`, '--env', 'STORE_URL=file:///data/blobs'],
      ...['--env', `ALLOWED_ATTACHMENT_DOMAINS=${HOST}`, '--env', 'ALLOWED_PORTS=*', '--env', 'ALLOW_HTTP=true'],
      ...['--env', 'ALLOW_PRIVATE_ADDRESSES=true', '--env', 'ALLOWED_FILE_TYPES=*', '--read-only', '--tmpfs', '/tmp'],
      image,
    );
  }, 600_000);

  afterAll(async () => {
    await docker('rm', '--force', container).catch(() => undefined);
    files?.close();
    await broker?.stop();
    // blobs belong to the container's user: root in a container takes them away
    if (folder) {
      await docker(
        'run',
        '--rm',
        '--user',
        'root',
        '--entrypoint',
        'rm',
        '--volume',
        `${folder}:/data`,
        'weir/download-worker:test',
        '-rf',
        '/data/blobs',
      ).catch(() => undefined);
      await rm(folder, { recursive: true, force: true });
    }
  });

  test('processes the records of a broker outside it, every task to one result', async () => {
    const port = (files.address() as AddressInfo).port;
    const producer = kafka.producer();
    await producer.connect();
    const tasks = Array.from({ length: TASKS }, (_, index) => ({
      traceId: `trace-${index}`,
      mediaId: randomUUID(),
      attachmentUrl: `http://${HOST}:${port}/file-${index}.txt`,
      blobPath: `documentsReceived/a1/trace-${index}/${index}_file.txt`,
      statusSubtype: 'documentsReceived',
      fileType: 'TXT',
      assignmentId: 'a1',
      eventType: 'verisk.claims.property.xn.documentsReceived',
      originalTimestamp: '2026-01-02T03:04:05Z',
    }));
    await producer.send({
      topic: 'xact.downloads.pending',
      messages: tasks.map((task) => ({ key: task.mediaId, value: JSON.stringify(task) })),
    });
    await producer.disconnect();

    const results = new Map<string, { status: string; sha256?: string; httpStatus?: number }[]>();
    const consumer = kafka.consumer({ groupId: 'reads-results' });
    await consumer.connect();
    await consumer.subscribe({ topics: ['xact.downloads.results'], fromBeginning: true });
    await consumer.run({
      eachMessage: async ({ message }) => {
        const result = JSON.parse(message.value!.toString());
        results.set(result.traceId, [...(results.get(result.traceId) ?? []), result]);
      },
    });
    const deadline = Date.now() + 60_000;
    while (results.size < TASKS && Date.now() < deadline) await wait(100);
    await consumer.disconnect();

    expect(results.size, await logsOf(container)).toBe(TASKS);
    for (const [index, task] of tasks.entries()) {
      const [result, ...more] = results.get(task.traceId)!;
      expect(more).toEqual([]);
      if (index === 13) expect(result).toMatchObject({ status: 'failed_permanent', httpStatus: 404 });
      else {
        expect(result).toMatchObject({ status: 'completed', sha256: sha256(bodyOf(index)) });
        expect(await readFile(join(folder, 'blobs', task.blobPath))).toEqual(bodyOf(index));
      }
    }
  }, 90_000);

  test('ends by itself when told to stop: everything committed, exit code 0, well before it would be killed', async () => {
    const began = Date.now();
    await docker('stop', '--time', '30', container);
    expect(Date.now() - began).toBeLessThan(15_000);
    const state = JSON.parse(await docker('container', 'inspect', '--format', '{{json .State}}', container));
    expect(state.ExitCode, await logsOf(container)).toBe(0);
    const admin = kafka.admin();
    await admin.connect();
    const ends = await admin.fetchTopicOffsets('xact.downloads.pending');
    const [committed] = await admin.fetchOffsets({
      groupId: 'xact-download-worker',
      topics: ['xact.downloads.pending'],
    });
    await admin.disconnect();
    const reached = new Map(committed!.partitions.map(({ partition, offset }) => [partition, offset]));
    expect(ends.filter(({ offset, partition }) => offset !== '0' && reached.get(partition) !== offset)).toEqual([]);
  }, 60_000);
});
