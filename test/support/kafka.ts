/**
 * A real Kafka for tests, from whatever this machine has, in this order:
 *
 *   WEIR_TEST_KAFKA=host:port   one broker that several test files share; used as it is, never stopped
 *   KAFKA_BROKERS               a cluster of yours; used as it is, never stopped
 *   java and mvn                Kafka's own jars from Maven, downloaded once to ~/.cache/weir, a fresh data folder
 *   docker                      apache/kafka by testcontainers
 *
 * With none of them `startKafka` says so in one loud line and gives undefined, so that the caller can skip; with
 * WEIR_REQUIRE_REAL=1 it throws.
 */
import { type ChildProcess, execFile, spawn } from 'node:child_process';
import { existsSync } from 'node:fs';
import { mkdir, mkdtemp, open, readdir, rename, rm, stat, writeFile } from 'node:fs/promises';
import { connect, createServer } from 'node:net';
import { homedir, tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { promisify } from 'node:util';

const run = promisify(execFile);
const KAFKA_VERSION = '4.1.0';
const KAFKA_IMAGE = 'apache/kafka:4.1.0';
const START_TIMEOUT_MS = 60_000;
const START_ATTEMPTS = 3;
const STOP_TIMEOUT_MS = 10_000;
const LOCK_STALE_MS = 5 * 60_000;

export interface RunningKafka {
  readonly brokers: string[];
  readonly kind: 'env' | 'java' | 'docker';
  /** Of a broker that is a process of ours; as it was started first. */
  readonly pid?: number | undefined;
  stop(): Promise<void>;
  /** Kills the broker and starts it again on the same port with the same data; only for brokers of our own. */
  restart?(): Promise<void>;
}

export interface KafkaOptions {
  /** Settings of the broker (server.properties); ignored for a cluster that is given. */
  readonly properties?: Readonly<Record<string, string>>;
  /** Listeners beside the plain one, on 127.0.0.1; only a Kafka of Java's jars has them. */
  readonly listeners?: readonly Listener[];
}

export interface Listener {
  readonly name: string;
  readonly protocol: 'SSL' | 'SASL_SSL';
  readonly port: number;
}

export async function startKafka(options: KafkaOptions = {}): Promise<RunningKafka | undefined> {
  const given = process.env.WEIR_TEST_KAFKA || process.env.KAFKA_BROKERS;
  if (given) return { brokers: given.split(','), kind: 'env', stop: async () => {} };
  const reasons: string[] = [];
  for (const start of [startJava, startDocker]) {
    try {
      return await start(options);
    } catch (error) {
      reasons.push(error instanceof Error ? error.message.split('\n')[0]! : String(error));
    }
  }
  const line = `NO REAL KAFKA: set KAFKA_BROKERS, or install Java 17 and Maven, or Docker (${reasons.join('; ')})`;
  if (process.env.WEIR_REQUIRE_REAL === '1') throw new Error(line);
  console.warn(`\n!!! ${line}; its tests are skipped\n`);
  return undefined;
}

async function startJava(options: KafkaOptions): Promise<RunningKafka> {
  await run('java', ['-version']).catch(() => {
    throw new Error('java does not run here');
  });
  const jars = await kafkaJars();
  // A port that was free when we looked may be taken, as some connection's own, before Java is up seconds later.
  for (let attempt = 1; ; attempt++) {
    try {
      return await startFresh(jars, options);
    } catch (error) {
      if (attempt === START_ATTEMPTS) throw error;
    }
  }
}

async function startFresh(jars: string, options: KafkaOptions): Promise<RunningKafka> {
  const folder = await mkdtemp(join(tmpdir(), 'weir-kafka-'));
  const [port, controllerPort] = await freePorts(2);
  const file = join(folder, 'server.properties');
  const classpath = join(jars, '*');
  await writeFile(file, serverProperties(folder, port!, controllerPort!, options));
  const { stdout } = await run('java', ['-cp', classpath, 'kafka.tools.StorageTool', 'random-uuid']);
  await run('java', ['-cp', classpath, 'kafka.tools.StorageTool', 'format', '-t', stdout.trim(), '-c', file]);

  const launch = async (): Promise<ChildProcess> => {
    const java = spawn('java', ['-Xmx512m', '-Xms128m', '-XX:+UseSerialGC', '-cp', classpath, 'kafka.Kafka', file], {
      stdio: ['ignore', 'pipe', 'pipe'],
    });
    let output = '';
    const keep = (chunk: Buffer) => {
      output = (output + chunk.toString()).slice(-4_000);
    };
    java.stdout?.on('data', keep);
    java.stderr?.on('data', keep);
    const deadline = Date.now() + START_TIMEOUT_MS;
    while (!(await answers(port!))) {
      if (java.exitCode !== null || Date.now() > deadline) {
        java.kill('SIGKILL');
        throw new Error(`Kafka did not start: ${output || `exit code ${java.exitCode}`}`);
      }
      await sleep(50);
    }
    return java;
  };

  let java = await launch();
  const killOnExit = () => java.kill('SIGKILL');
  process.once('exit', killOnExit);
  const halt = async () => {
    if (java.exitCode !== null || java.signalCode !== null) return;
    const gone = new Promise((resolve) => java.once('exit', resolve));
    java.kill('SIGTERM');
    const timer = setTimeout(() => java.kill('SIGKILL'), STOP_TIMEOUT_MS);
    await gone;
    clearTimeout(timer);
  };
  return {
    brokers: [`127.0.0.1:${port}`],
    kind: 'java',
    pid: java.pid,
    stop: async () => {
      process.off('exit', killOnExit);
      await halt();
      await rm(folder, { recursive: true, force: true });
    },
    restart: async () => {
      const gone = new Promise((resolve) => java.once('exit', resolve));
      java.kill('SIGKILL');
      await gone;
      java = await launch();
    },
  };
}

function serverProperties(
  folder: string,
  port: number,
  controllerPort: number,
  { properties = {}, listeners = [] }: KafkaOptions,
): string {
  const more = listeners.map(({ name, port }) => `,${name}://127.0.0.1:${port}`).join('');
  const protocols = listeners.map(({ name, protocol }) => `,${name}:${protocol}`).join('');
  return Object.entries({
    'process.roles': 'broker,controller',
    'node.id': '1',
    'controller.quorum.voters': `1@127.0.0.1:${controllerPort}`,
    'controller.listener.names': 'CONTROLLER',
    listeners: `PLAINTEXT://127.0.0.1:${port},CONTROLLER://127.0.0.1:${controllerPort}${more}`,
    'advertised.listeners': `PLAINTEXT://127.0.0.1:${port}${more}`,
    'listener.security.protocol.map': `PLAINTEXT:PLAINTEXT,CONTROLLER:PLAINTEXT${protocols}`,
    'log.dirs': join(folder, 'data'),
    'num.partitions': '1',
    'auto.create.topics.enable': 'false',
    'offsets.topic.num.partitions': '4',
    'offsets.topic.replication.factor': '1',
    'transaction.state.log.replication.factor': '1',
    'transaction.state.log.min.isr': '1',
    'share.coordinator.state.topic.replication.factor': '1',
    'share.coordinator.state.topic.min.isr': '1',
    'group.initial.rebalance.delay.ms': '0',
    'group.min.session.timeout.ms': '1000',
    'log.retention.check.interval.ms': '1000',
    ...properties,
  })
    .map(([key, value]) => `${key}=${value}`)
    .join('\n');
}

/** The jars' folder. Several test processes may want them at once: one downloads, the others wait for it. */
export async function kafkaJars(): Promise<string> {
  const cache = join(homedir(), '.cache', 'weir');
  const folder = join(cache, `kafka-${KAFKA_VERSION}`);
  if (existsSync(folder)) return folder;
  await mkdir(cache, { recursive: true });
  const lock = `${folder}.lock`;
  for (;;) {
    if (existsSync(folder)) return folder;
    try {
      await (await open(lock, 'wx')).close();
      break;
    } catch {
      const age = await stat(lock).then(
        (found) => Date.now() - found.mtimeMs,
        () => 0,
      );
      if (age > LOCK_STALE_MS) await rm(lock, { force: true });
      await sleep(200);
    }
  }
  const work = await mkdtemp(join(cache, 'download-'));
  try {
    if (existsSync(folder)) return folder;
    await writeFile(join(work, 'pom.xml'), POM);
    await run(
      'mvn',
      ['-q', '-B', 'dependency:copy-dependencies', `-DoutputDirectory=${join(work, 'jars')}`, '-DincludeScope=runtime'],
      { cwd: work },
    ).catch((error: Error) => {
      throw new Error(`Kafka's jars cannot be downloaded: ${error.message}`);
    });
    if ((await readdir(join(work, 'jars'))).length === 0) throw new Error('Maven copied no jars');
    await rename(join(work, 'jars'), folder);
    return folder;
  } finally {
    await rm(work, { recursive: true, force: true });
    await rm(lock, { force: true });
  }
}

const POM = `<project xmlns="http://maven.apache.org/POM/4.0.0"><modelVersion>4.0.0</modelVersion>
<groupId>weir.test</groupId><artifactId>kafka-jars</artifactId><version>1</version><packaging>pom</packaging>
<dependencies>
<dependency><groupId>org.apache.kafka</groupId><artifactId>kafka_2.13</artifactId><version>${KAFKA_VERSION}</version></dependency>
<dependency><groupId>org.apache.kafka</groupId><artifactId>kafka-tools</artifactId><version>${KAFKA_VERSION}</version></dependency>
<dependency><groupId>org.slf4j</groupId><artifactId>slf4j-nop</artifactId><version>1.7.36</version></dependency>
</dependencies></project>
`;

async function startDocker(options: KafkaOptions): Promise<RunningKafka> {
  await run('docker', ['info']).catch(() => {
    throw new Error('docker does not run here');
  });
  const { GenericContainer, Wait } = await import('testcontainers');
  // The broker must advertise the port that clients reach it by, which has to be known before it starts.
  const [port] = await freePorts(1);
  const environment: Record<string, string> = {
    KAFKA_NODE_ID: '1',
    KAFKA_PROCESS_ROLES: 'broker,controller',
    KAFKA_CONTROLLER_QUORUM_VOTERS: '1@localhost:9093',
    KAFKA_CONTROLLER_LISTENER_NAMES: 'CONTROLLER',
    KAFKA_LISTENERS: `PLAINTEXT://0.0.0.0:9092,CONTROLLER://0.0.0.0:9093`,
    KAFKA_ADVERTISED_LISTENERS: `PLAINTEXT://${process.env.TESTCONTAINERS_HOST_OVERRIDE ?? 'localhost'}:${port}`,
    KAFKA_LISTENER_SECURITY_PROTOCOL_MAP: 'PLAINTEXT:PLAINTEXT,CONTROLLER:PLAINTEXT',
    KAFKA_AUTO_CREATE_TOPICS_ENABLE: 'false',
    KAFKA_OFFSETS_TOPIC_NUM_PARTITIONS: '4',
    KAFKA_OFFSETS_TOPIC_REPLICATION_FACTOR: '1',
    KAFKA_TRANSACTION_STATE_LOG_REPLICATION_FACTOR: '1',
    KAFKA_TRANSACTION_STATE_LOG_MIN_ISR: '1',
    KAFKA_GROUP_INITIAL_REBALANCE_DELAY_MS: '0',
    KAFKA_GROUP_MIN_SESSION_TIMEOUT_MS: '1000',
    KAFKA_LOG_RETENTION_CHECK_INTERVAL_MS: '1000',
    ...Object.fromEntries(
      Object.entries(options.properties ?? {}).map(([key, value]) => [
        `KAFKA_${key.toUpperCase().replaceAll('.', '_')}`,
        value,
      ]),
    ),
  };
  const container = await new GenericContainer(KAFKA_IMAGE)
    .withEnvironment(environment)
    .withExposedPorts({ container: 9092, host: port! })
    .withWaitStrategy(Wait.forLogMessage(/Kafka Server started/))
    .withStartupTimeout(START_TIMEOUT_MS)
    .start();
  return {
    brokers: [`${container.getHost()}:${port}`],
    kind: 'docker',
    stop: async () => {
      await container.stop();
    },
    restart: () => container.restart(),
  };
}

export async function freePorts(count: number): Promise<number[]> {
  const servers = await Promise.all(
    Array.from({ length: count }, async () => {
      const server = createServer();
      await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
      return server;
    }),
  );
  return Promise.all(
    servers.map(async (server) => {
      const address = server.address();
      await new Promise((resolve) => server.close(resolve));
      return typeof address === 'object' && address ? address.port : 0;
    }),
  );
}

function answers(port: number): Promise<boolean> {
  return new Promise((resolve) => {
    const socket = connect({ host: '127.0.0.1', port }, () => {
      socket.destroy();
      resolve(true);
    });
    socket.on('error', () => resolve(false));
  });
}
