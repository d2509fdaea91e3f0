/**
 * TLS and SASL against Apache Kafka: that the awaited revoke holds there too (it reads frames where they are not yet
 * encrypted), and that a refusal says whose it is without saying the secret.
 */
import type { Logger } from '@weir/core';
import { afterAll, describe, expect, test } from 'vitest';
import type { KafkaSettings } from '../../packages/sdk/src/config.ts';
import { Bench } from '../conformance/harness.ts';
import { Member, World } from '../conformance/member.ts';
import { until } from '../support/until.ts';
import { PASSWORD, startSecureKafka, USER } from './secure-kafka.ts';

type Security = Pick<KafkaSettings, 'ssl' | 'sasl'>;

const kafka = await startSecureKafka();

describe.skipIf(!kafka)('TLS and SASL', () => {
  const { tls = '', sasl = '', ca = '' } = kafka ?? {};
  afterAll(() => kafka?.stop());

  async function withBench(broker: string, security: Security, body: (bench: Bench) => Promise<void>): Promise<void> {
    const harness = { brokers: [broker], sessionTimeoutMs: 6_000, security, stop: async () => undefined };
    const bench = new Bench(harness);
    try {
      await body(bench);
    } finally {
      await bench.close();
    }
  }

  const as = (mechanism: 'plain' | 'scram-sha-256' | 'scram-sha-512', password = PASSWORD): Security => ({
    ssl: { ca },
    sasl: { mechanism, username: USER, password },
  });

  const ways: [string, string, Security][] = [
    ['TLS', tls, { ssl: { ca }, sasl: undefined }],
    ['PLAIN over TLS', sasl, as('plain')],
    ['SCRAM-SHA-256 over TLS', sasl, as('scram-sha-256')],
    ['SCRAM-SHA-512 over TLS', sasl, as('scram-sha-512')],
  ];
  test.concurrent.each(
    ways,
  )('%s: a second member comes, and nothing is repeated or lost', async (_, broker, security) => {
    await withBench(broker, security, async (bench) => {
      await bench.createTopic(4);
      const world = new World();
      const producer = bench.port.producer();
      bench.atEnd(() => producer.stop());
      await producer.start();
      let sent = 0;
      let sending = true;
      const feeding = (async () => {
        while (sending) {
          for (let partition = 0; partition < 4; partition++, sent++) {
            void producer.send({ topic: bench.topic, partition, key: null, value: Buffer.from('v') }, () => undefined);
          }
          await producer.flush();
          await new Promise((resolve) => setTimeout(resolve, 40));
        }
      })();
      const first = await bench.member({ world, handlerMs: 300 }).start();
      await until('the first flows', () => first.delivered > 20);
      const second = await bench.member({ world, handlerMs: 300 }).start();
      await until('two share', () => first.owned === 2 && second.owned === 2 && second.delivered > 20, 20_000);
      sending = false;
      await feeding;
      await until('all are started', () => world.distinct === sent);
      expect(world.repeats).toBe(0);
      expect(first.happened.filter(({ kind }) => kind === 'revoking').length).toBeGreaterThanOrEqual(1);
    });
  });

  /** What a member and a producer that cannot get in say. */
  async function refusal(broker: string, security: Security): Promise<{ status: string; lines: string[] }> {
    const lines: string[] = [];
    const keep = (fields: unknown, message?: string) => {
      lines.push(`${message ?? ''} ${JSON.stringify(fields, withErrors)}`);
    };
    const log: Logger = { debug: keep, info: keep, warn: keep, error: keep, child: () => log };
    let status = '';
    await withBench(broker, security, async (bench) => {
      const port = bench.newPort(undefined, undefined, log);
      const member = new Member({ port, group: bench.group, topics: [bench.topic] });
      bench.atEnd(() => member.stop());
      await member.start();
      const producer = port.producer();
      bench.atEnd(() => producer.stop(AbortSignal.abort()));
      await producer.start();
      await until('the member says it', () => member.consumer.status.detail !== `connecting to ${broker}`);
      await until(
        'it is logged twice',
        () => lines.filter((line) => line.includes(member.consumer.status.detail)).length >= 2,
      );
      status = member.consumer.status.detail;
      expect(member.consumer.status.state).toBe('connecting');
    });
    return { status, lines };
  }

  test.concurrent.each([
    'plain',
    'scram-sha-256',
    'scram-sha-512',
  ] as const)('a wrong password for %s is said with user and mechanism, and never shown', async (mechanism) => {
    const wrong = 'not-the-pass-word';
    const { status, lines } = await refusal(sasl, as(mechanism, wrong));
    expect(status).toContain(`user "${USER}"`);
    expect(status).toContain(mechanism);
    expect(status).toMatch(/KAFKA_SASL_PASSWORD/);
    expect(lines.join('\n')).not.toContain(wrong);
  });

  test.concurrent('a certificate that nobody here trusts is said to be that', async () => {
    const { status } = await refusal(tls, { ssl: true, sasl: undefined });
    expect(status).toMatch(/certificate/);
    expect(status).toMatch(/KAFKA_SSL_CA/);
    expect(status).not.toMatch(/no Kafka broker answers/);
  });
});

function withErrors(_key: string, value: unknown): unknown {
  return value instanceof Error
    ? { name: value.name, message: value.message, stack: value.stack, cause: value.cause }
    : value;
}
