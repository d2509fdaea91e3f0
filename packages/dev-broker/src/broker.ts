/**
 * The broker as its user sees it: start, addresses, stop, a look inside, and faults. Everything else can be done by any
 * Kafka client.
 */
import type { EventEmitter } from 'node:events';
import { topicProblem } from './apis/19-create-topics.ts';
import type { ApiName, RequestOf } from './apis/registry.ts';
import { isApiName } from './apis/registry.ts';
import { Cluster } from './cluster.ts';
import { BrokerOptionError } from './errors.ts';
import type { BrokerEvents } from './events.ts';
import { type FaultHook, Faults } from './faults.ts';
import { type BrokerView, inspect } from './inspect.ts';
import { type BrokerOptions, resolveOptions } from './options.ts';
import { BrokerNode, type ConnectionInfo } from './server/node.ts';

export interface CreateTopicOptions {
  readonly partitions?: number;
  readonly replicationFactor?: number;
  readonly configs?: Readonly<Record<string, string>>;
}

/** Ready-made faults. Each returns or resolves when the fault is set, not when it has shown. */
export interface BrokerFaults {
  /** Closes connections now. @returns how many */
  dropConnections(filter?: (connection: ConnectionInfo) => boolean): number;
  /** Refuses the next `times` commits with a code, all their partitions. @returns ends the fault */
  refuseCommits(times: number, errorCode: number): () => void;
  /** Makes every member join again. @returns false when the group has no finished generation to break */
  forceRebalance(group: string): boolean;
  /** Answers the next `times` fetches later. @returns ends the fault */
  delayFetches(delayMs: number, times?: number): () => void;
  /** Answers the next `times` fetches from `records` further back: what was served already is served again. @returns ends it */
  serveAgain(records: number, times?: number): () => void;
  /** Ends a member's session (all members' when none is named). @returns how many members went */
  expireMember(group: string, memberId?: string): number;
  /** Another node coordinates the group from now on; who waits is told NOT_COORDINATOR. */
  moveCoordinator(group: string, node: number): void;
  /** Another node leads the partition from now on. */
  moveLeader(topic: string, partition: number, node: number): void;
  /** Handles the next `times` produce requests and loses the answers, so that producers repeat them. */
  loseProduceAnswers(times: number): () => void;
  /** Takes a node's port away. Its partitions move to another replica, if there is one. */
  stopNode(node: number): Promise<void>;
  /**
   * Brings it back on its old port.
   * @param options.state  'keep' (default): as a restart with its disk; 'lose': its partitions, and with a single node
   *                       all groups, come back empty
   */
  startNode(node: number, options?: { state?: 'keep' | 'lose' }): Promise<void>;
  /** Takes all hooks away. */
  clear(): void;
}

export class Broker {
  readonly #cluster: Cluster;
  readonly #hooks = new Faults();
  readonly #nodes: BrokerNode[];
  readonly faults: BrokerFaults;

  /** @internal use `startBroker` */
  constructor(options: BrokerOptions) {
    const resolved = resolveOptions(options);
    this.#cluster = new Cluster(resolved);
    this.#nodes = Array.from({ length: resolved.nodes }, (_, index) => {
      const port = resolved.port === 0 ? 0 : resolved.port + index;
      const info = { id: index + 1, host: resolved.advertisedHost, port, alive: false };
      this.#cluster.nodes.push(info);
      return new BrokerNode(info, this.#cluster, this.#hooks);
    });
    this.faults = this.#makeFaults();
  }

  /** `host:port` of every node. */
  get brokers(): string[] {
    return this.#nodes.map(({ info }) => `${info.host}:${info.port}`);
  }

  get events(): EventEmitter<BrokerEvents> {
    return this.#cluster.events;
  }

  async start(): Promise<void> {
    try {
      for (const node of this.#nodes) await node.start();
    } catch (error) {
      await this.stop();
      throw error;
    }
  }

  /** Closes every port and connection. Safe early and twice. */
  async stop(): Promise<void> {
    await Promise.all(this.#nodes.map((node) => node.stop()));
    this.#cluster.close();
  }

  inspect(): BrokerView {
    return inspect(this.#cluster);
  }

  /**
   * Makes a topic without a client. @throws BrokerOptionError for what Kafka would refuse, an existing name included
   */
  createTopic(name: string, options: CreateTopicOptions = {}): void {
    const cluster = this.#cluster;
    const wanted = {
      name,
      numPartitions: options.partitions ?? cluster.options.defaultPartitions,
      replicationFactor: options.replicationFactor ?? -1,
      assignments: [],
      configs: Object.entries(options.configs ?? {}).map(([key, value]) => ({ name: key, value })),
    };
    const problem = topicProblem(wanted, cluster);
    if (problem) throw new BrokerOptionError('topic', problem.errorMessage);
    cluster.createTopic({
      name,
      partitions: wanted.numPartitions,
      ...(options.replicationFactor === undefined ? {} : { replicationFactor: options.replicationFactor }),
      configs: new Map(Object.entries(options.configs ?? {})),
    });
  }

  /**
   * Puts a hook before an API.
   * @param options.times  verdicts after which the hook goes away; without it, it stays
   * @returns              takes the hook away
   */
  control<Name extends ApiName>(name: Name, hook: FaultHook<Name>, options: { times?: number } = {}): () => void {
    if (!isApiName(name)) throw new BrokerOptionError('control', `there is no API ${String(name)}`);
    return this.#hooks.add(name, hook, options.times);
  }

  #makeFaults(): BrokerFaults {
    const cluster = this.#cluster;
    return {
      dropConnections: (filter = () => true) => this.#nodes.reduce((sum, node) => sum + node.drop(filter), 0),
      refuseCommits: (times, errorCode) => this.#hooks.add('OffsetCommit', () => ({ errorCode }), times),
      forceRebalance: (group) => cluster.groups.get(group)?.rebalance() ?? false,
      delayFetches: (delayMs, times) => this.#hooks.add('Fetch', () => ({ delayMs }), times),
      serveAgain: (records, times) => this.#hooks.add('Fetch', (request) => further(cluster, request, records), times),
      expireMember: (group, memberId) => {
        const found = cluster.groups.get(group);
        const ids = memberId === undefined ? [...(found?.members.keys() ?? [])] : [memberId];
        return ids.filter((id) => found?.remove(id)).length;
      },
      moveCoordinator: (group, node) => cluster.moveCoordinator(group, node),
      moveLeader: (topic, partition, node) => {
        const found = cluster.partition(topic, partition);
        if (!found) throw new BrokerOptionError('partition', `there is no ${topic}/${partition}`);
        if (!cluster.aliveNodes.some(({ id }) => id === node)) throw new BrokerOptionError('node', `${node} is not up`);
        found.replicas = [node, ...found.replicas.filter((id) => id !== node)].slice(0, found.replicas.length);
        found.lead(node);
      },
      loseProduceAnswers: (times) => this.#hooks.add('Produce', () => 'lose-answer', times),
      stopNode: async (id) => {
        const node = this.#node(id);
        cluster.nodeDown(id);
        await node.stop();
      },
      startNode: async (id, options = {}) => {
        const node = this.#node(id);
        if (node.info.alive) return;
        if (options.state === 'lose') this.#loseState(id);
        await node.start();
        cluster.nodeUp(id);
      },
      clear: () => this.#hooks.clear(),
    };
  }

  #node(id: number): BrokerNode {
    const node = this.#nodes[id - 1];
    if (!node) throw new BrokerOptionError('node', `there is no node ${id}, only 1 to ${this.#nodes.length}`);
    return node;
  }

  /** What only this node had: partitions without another replica, and groups when it is alone. */
  #loseState(id: number): void {
    const cluster = this.#cluster;
    for (const topic of cluster.topics.values()) {
      for (const partition of topic.partitions) {
        if (partition.replicas.length === 1 && partition.replicas[0] === id) partition.clear();
      }
    }
    if (this.#nodes.length > 1) return;
    for (const group of [...cluster.groups.keys()]) cluster.deleteGroup(group);
  }
}

/**
 * The same fetch from `records` further back, where there is so much. Only where something new is there too: an answer that ends
 * below the offset that was asked for means, from a real broker, that everything in between was compacted away.
 */
function further(cluster: Cluster, request: RequestOf<'Fetch'>, records: number): { instead: RequestOf<'Fetch'> } {
  const topics = request.topics.map((each) => ({
    ...each,
    partitions: each.partitions.map((wanted) => {
      const log = cluster.partition(each.topic, wanted.partition);
      if (log === undefined || wanted.fetchOffset >= log.endOffset || wanted.fetchOffset < log.logStartOffset)
        return wanted;
      return { ...wanted, fetchOffset: Math.max(log.logStartOffset, wanted.fetchOffset - records) };
    }),
  }));
  return { instead: { ...request, topics } };
}

/** Starts a broker; resolves when every node listens. */
export async function startBroker(options: BrokerOptions = {}): Promise<Broker> {
  const broker = new Broker(options);
  await broker.start();
  return broker;
}
