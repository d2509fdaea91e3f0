/**
 * Apache Kafka with a TLS listener and one with SASL over TLS (PLAIN, SCRAM-SHA-256, SCRAM-SHA-512), certificates and
 * users of its own. It needs Java, Maven and openssl; a shared Kafka given by the environment has no such listeners, so it
 * is not used.
 */
import { execFile } from 'node:child_process';
import { mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { freePorts, kafkaJars, startKafka } from '../support/kafka.ts';

const run = promisify(execFile);

export const USER = 'alice';
export const PASSWORD = 'correct-horse-battery';

export interface SecureKafka {
  readonly tls: string;
  readonly sasl: string;
  /** The certificate that signed the broker's. */
  readonly ca: string;
  stop(): Promise<void>;
}

export async function startSecureKafka(): Promise<SecureKafka | undefined> {
  delete process.env.WEIR_TEST_KAFKA;
  delete process.env.KAFKA_BROKERS;
  const folder = await mkdtemp(join(tmpdir(), 'weir-security-'));
  const clean = () => rm(folder, { recursive: true, force: true });
  try {
    const { keystore, ca } = await makeCertificates(folder);
    const [tls, sasl] = (await freePorts(2)) as [number, number];
    const scram = 'org.apache.kafka.common.security.scram.ScramLoginModule required;';
    const kafka = await startKafka({
      listeners: [
        { name: 'TLS', protocol: 'SSL', port: tls },
        { name: 'LOGIN', protocol: 'SASL_SSL', port: sasl },
      ],
      properties: {
        'ssl.keystore.type': 'PEM',
        'ssl.keystore.location': keystore,
        'sasl.enabled.mechanisms': 'PLAIN,SCRAM-SHA-256,SCRAM-SHA-512',
        'listener.name.login.plain.sasl.jaas.config': `org.apache.kafka.common.security.plain.PlainLoginModule required user_${USER}="${PASSWORD}";`,
        'listener.name.login.scram-sha-256.sasl.jaas.config': scram,
        'listener.name.login.scram-sha-512.sasl.jaas.config': scram,
      },
    });
    if (kafka?.kind !== 'java') {
      await kafka?.stop();
      await clean();
      if (kafka) console.warn('\n!!! SKIPPED: TLS and SASL, which need a Kafka from Java and Maven\n');
      return undefined;
    }
    await addScramUser(kafka.brokers[0]!).catch(async (error: unknown) => {
      await kafka.stop();
      throw error;
    });
    return {
      tls: `127.0.0.1:${tls}`,
      sasl: `127.0.0.1:${sasl}`,
      ca,
      stop: async () => {
        await kafka.stop();
        await clean();
      },
    };
  } catch (error) {
    await clean();
    throw error;
  }
}

/** An authority, and a broker's certificate for 127.0.0.1 that it signed. */
async function makeCertificates(folder: string): Promise<{ keystore: string; ca: string }> {
  const at = (name: string) => join(folder, name);
  const openssl = (...args: string[]) => run('openssl', args, { cwd: folder });
  const request = ['req', '-newkey', 'rsa:2048', '-nodes'];
  await openssl(
    ...request,
    '-x509',
    '-days',
    '2',
    '-subj',
    '/CN=test authority',
    '-keyout',
    'ca.key',
    '-out',
    'ca.pem',
  );
  await openssl(...request, '-subj', '/CN=broker', '-keyout', 'broker.key', '-out', 'broker.csr');
  await writeFile(at('names'), 'subjectAltName=IP:127.0.0.1,DNS:localhost\n');
  const signed = ['-CA', 'ca.pem', '-CAkey', 'ca.key', '-CAcreateserial', '-days', '2', '-extfile', 'names'];
  await openssl('x509', '-req', '-in', 'broker.csr', ...signed, '-out', 'broker.pem');
  const [key, certificate, ca] = await Promise.all(
    ['broker.key', 'broker.pem', 'ca.pem'].map((name) => readFile(at(name), 'utf8')),
  );
  await writeFile(at('keystore.pem'), `${key}${certificate}${ca}`);
  return { keystore: at('keystore.pem'), ca: ca! };
}

/** One mechanism after the other: Kafka takes one change of a user at a time. */
async function addScramUser(broker: string): Promise<void> {
  const java = ['-Xmx128m', '-XX:TieredStopAtLevel=1', '-cp', join(await kafkaJars(), '*')];
  const entity = ['--entity-type', 'users', '--entity-name', USER];
  for (const mechanism of ['SCRAM-SHA-256', 'SCRAM-SHA-512']) {
    const config = `${mechanism}=[password=${PASSWORD}]`;
    const change = ['--bootstrap-server', broker, '--alter', '--add-config', config, ...entity];
    await run('java', [...java, 'kafka.admin.ConfigCommand', ...change]);
  }
}
