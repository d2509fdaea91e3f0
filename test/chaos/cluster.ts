/**
 * Where a run happens: the dev broker inside this process, whose journal and faults are at hand, or a real Kafka, whose commits
 * are only seen by asking for them again and again.
 */
import { type Broker, CODES, startBroker } from '@weir/dev-broker';
import { decodeMetadata, type TopicSpec } from '@weir/sdk';
import kafkajs, { type Admin, Kafka, logLevel } from 'kafkajs';
import { decodeSkipMap } from '../../packages/sdk/src/delivery/skip-map.ts';
import { startKafka } from '../support/kafka.ts';
import type { Commit, Generation } from './history.ts';
import { startProxy } from './proxy.ts';
import { nowMs } from './workers/event-log.ts';

export interface Cluster {
  readonly brokers: readonly string[];
  /** The dev broker; undefined on a real Kafka. */
  readonly broker: Broker | undefined;
  readonly commits: Commit[];
  readonly generations: Generation[];
  /** Hears of a commit before its owner does; on the dev broker only. */
  onCommit: ((commit: Commit) => void) | undefined;
  /** When a record was appended; undefined when nobody knows. */
  appendedAt(topic: string, partition: number, offset: number): number | undefined;
  client(): Kafka;
  createTopics(topics: readonly TopicSpec[]): Promise<void>;
  /** Begins to watch the commits of these groups. */
  watch(groups: readonly { group: string; topics: readonly string[] }[]): Promise<void>;
  restart(pick: number, forMs: number): Promise<string>;
  /** Cuts the connections of a client. @returns how many; undefined when this cluster cannot */
  drop(clientId: string): number | undefined;
  stop(): Promise<void>;
}

const NODES = 2;
const POLL_MS = 150;

type Told = Pick<Commit, 'ahead' | 'writer' | 'left' | 'suspects'>;

/** What the metadata beside an offset tells. */
function toldBy(offset: number, metadata: string): Told {
  const decoded = decodeMetadata(metadata, offset);
  if (decoded.ignored !== undefined) return { ahead: [], writer: '', left: false, suspects: '' };
  return {
    ahead: decodeSkipMap(offset, decoded.skipMap) ?? [],
    writer: decoded.signal.writer,
    left: decoded.owner === 'left',
    suspects: decoded.suspects,
  };
}

const quietClient = (brokers: readonly string[]) =>
  new Kafka({ brokers: [...brokers], clientId: 'chaos', logLevel: logLevel.NOTHING });

export async function startDevCluster(): Promise<Cluster> {
  const broker = await startBroker({ nodes: NODES });
  const commits: Commit[] = [];
  const generations: Generation[] = [];
  /** Of each partition: first offset of every append, and when. */
  const appends = new Map<string, { base: number; at: number }[]>();
  broker.events.on(
    'offset:committed',
    ({ group, memberId, generationId, topic, partition, offset, metadata, errorCode }) => {
      const stored = errorCode === CODES.NONE;
      const told = toldBy(offset, stored ? metadata : '');
      const at = nowMs();
      const commit = { group, memberId, generation: generationId, topic, partition, offset, ...told, stored, at };
      commits.push(commit);
      cluster.onCommit?.(commit);
    },
  );
  broker.events.on('records:appended', ({ topic, partition, baseOffset, repeated }) => {
    if (repeated) return;
    const list = appends.get(`${topic}/${partition}`);
    if (list === undefined) appends.set(`${topic}/${partition}`, [{ base: baseOffset, at: nowMs() }]);
    else list.push({ base: baseOffset, at: nowMs() });
  });
  broker.events.on('group:moved', ({ group, to, generation }) => {
    if (to !== 'Stable') return;
    const members = broker.inspect().groups.find((each) => each.id === group)?.members ?? [];
    const owners = new Map(members.map(({ id, assignment }) => [id, partitionsOf(assignment)]));
    generations.push({ group, generation, owners, at: nowMs() });
  });
  const cluster: Cluster = {
    brokers: broker.brokers,
    broker,
    commits,
    generations,
    onCommit: undefined,
    appendedAt(topic, partition, offset) {
      const list = appends.get(`${topic}/${partition}`) ?? [];
      let low = 0;
      for (let high = list.length; low < high; ) {
        const middle = (low + high) >> 1;
        if (list[middle]!.base <= offset) low = middle + 1;
        else high = middle;
      }
      return list[low - 1]?.at;
    },
    client: () => quietClient(broker.brokers),
    async createTopics(topics) {
      for (const { topic, partitions, config } of topics)
        broker.createTopic(topic, { partitions, replicationFactor: NODES, configs: config ?? {} });
    },
    async watch() {},
    async restart(pick, forMs) {
      const node = 1 + (pick % NODES);
      await broker.faults.stopNode(node);
      setTimeout(() => void broker.faults.startNode(node), forMs);
      return `node ${node}`;
    },
    drop: (clientId) => broker.faults.dropConnections((connection) => connection.clientId === clientId),
    stop: () => broker.stop(),
  };
  return cluster;
}

function partitionsOf(assignment: Buffer): ReadonlySet<string> {
  if (assignment.length === 0) return new Set();
  const decoded = kafkajs.AssignerProtocol.MemberAssignment.decode(assignment);
  return new Set(
    Object.entries(decoded?.assignment ?? {}).flatMap(([topic, partitions]) =>
      partitions.map((each) => `${topic}/${each}`),
    ),
  );
}

export async function startRealCluster(): Promise<Cluster | undefined> {
  const proxy = await startProxy();
  const kafka = await startKafka({ properties: { 'advertised.listeners': `PLAINTEXT://127.0.0.1:${proxy.port}` } });
  // A cluster that was given advertises itself: its connections are out of reach.
  const proxied = kafka !== undefined && kafka.kind !== 'env';
  if (proxied) proxy.aim(Number(kafka.brokers[0]!.split(':').at(-1)));
  else await proxy.stop();
  if (kafka === undefined) return undefined;
  const brokers = proxied ? [`127.0.0.1:${proxy.port}`] : kafka.brokers;
  const client = quietClient(brokers);
  const admin: Admin = client.admin();
  await admin.connect();
  const commits: Commit[] = [];
  let polling: Promise<void> = Promise.resolve();
  let stopped = false;
  const last = new Map<string, string>();
  const poll = async (group: string, topics: readonly string[]) => {
    for (const { topic, partitions } of await admin.fetchOffsets({ groupId: group, topics: [...topics] }))
      for (const { partition, offset, metadata } of partitions) {
        const seen = `${offset} ${metadata}`;
        if (Number(offset) < 0 || last.get(`${topic}/${partition}`) === seen) continue;
        last.set(`${topic}/${partition}`, seen);
        const at = Number(offset);
        commits.push({
          group,
          memberId: '?',
          generation: -1,
          topic,
          partition,
          offset: at,
          ...toldBy(at, metadata ?? ''),
          stored: true,
          at: nowMs(),
        });
      }
  };
  return {
    brokers,
    broker: undefined,
    commits,
    generations: [],
    onCommit: undefined,
    appendedAt: () => undefined,
    client: () => quietClient(brokers),
    async createTopics(topics) {
      const made = topics.map(({ topic, partitions, config }) => ({
        topic,
        numPartitions: partitions,
        replicationFactor: 1,
        configEntries: Object.entries(config ?? {}).map(([name, value]) => ({ name, value })),
      }));
      await admin.createTopics({ topics: made, waitForLeaders: true });
    },
    async watch(groups) {
      polling = (async () => {
        while (!stopped) {
          for (const { group, topics } of groups) await poll(group, topics).catch(() => undefined);
          await new Promise((resolve) => setTimeout(resolve, POLL_MS));
        }
      })();
    },
    async restart() {
      if (kafka.restart === undefined) return 'none of ours to restart';
      await kafka.restart();
      return 'the broker';
    },
    drop: (clientId) => (proxied ? proxy.drop(clientId) : undefined),
    async stop() {
      stopped = true;
      await polling;
      await admin.disconnect();
      if (proxied) await proxy.stop();
      await kafka.stop();
    },
  };
}
