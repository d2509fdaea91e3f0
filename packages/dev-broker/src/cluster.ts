/**
 * What all nodes share: topics, groups, producer ids, and who answers for what. Nodes are ports of one process; a
 * partition's leader and a group's coordinator answer, the others refuse as real brokers do, so a client's routing is
 * put to the test. A node that is down takes no part: its partitions move to another replica or have no leader.
 */
import { EventEmitter } from 'node:events';
import { BrokerOptionError } from './errors.ts';
import type { BrokerEvents } from './events.ts';
import { Group } from './groups/group.ts';
import { hashName, randomId } from './identity.ts';
import { LogMemory } from './log/memory.ts';
import { Partition } from './log/partition.ts';
import type { ResolvedOptions } from './options.ts';
import { TOPIC_CONFIGS, TopicConfig } from './topic-config.ts';
import { CODES } from './wire/codes.ts';

const RETENTION_CHECK_MS = 10_000;
const DEFAULT_REPLICATION = 3;

export interface NodeInfo {
  readonly id: number;
  readonly host: string;
  port: number;
  alive: boolean;
}

export interface Topic {
  readonly name: string;
  readonly id: string;
  readonly replicationFactor: number;
  readonly partitions: Partition[];
  readonly config: TopicConfig;
}

export class Cluster {
  readonly options: ResolvedOptions;
  readonly id: string;
  readonly nodes: NodeInfo[] = [];
  readonly topics = new Map<string, Topic>();
  readonly groups = new Map<string, Group>();
  readonly events = new EventEmitter<BrokerEvents>();
  readonly memory: LogMemory;
  readonly #defaults: Readonly<Record<string, string>>;
  readonly #coordinators = new Map<string, number>();
  readonly #cancelRetention: () => void;
  #nextProducerId = 1000;
  #placed = 0;

  constructor(options: ResolvedOptions) {
    this.options = options;
    this.id = Buffer.from(randomId(options.random), 'hex').toString('base64url');
    const largest = String(options.maxMessageBytes);
    this.#defaults = largest === TOPIC_CONFIGS['max.message.bytes']?.fallback ? {} : { 'max.message.bytes': largest };
    this.memory = new LogMemory({
      limitBytes: options.retentionBytes,
      clock: options.clock,
      log: options.log,
      report: (trimmed) => this.events.emit('log:trimmed', trimmed),
    });
    this.#cancelRetention = options.clock.every(RETENTION_CHECK_MS, () => this.#applyRetention());
  }

  close(): void {
    this.#cancelRetention();
    for (const group of this.groups.values()) group.end(CODES.COORDINATOR_NOT_AVAILABLE);
    this.groups.clear();
    for (const topic of this.topics.values()) for (const partition of topic.partitions) partition.wake();
    this.memory.close();
  }

  // Nodes ------------------------------------------------------------------------------------------------------------

  get aliveNodes(): NodeInfo[] {
    return this.nodes.filter((node) => node.alive);
  }

  /** The node that answers for the cluster: the first that is up. */
  get controller(): number {
    return this.aliveNodes[0]?.id ?? -1;
  }

  nodeDown(id: number): void {
    this.#turn(id, false);
    for (const topic of this.topics.values()) {
      for (const partition of topic.partitions) {
        if (partition.leader === id) partition.lead(this.#firstAlive(partition.replicas));
      }
    }
  }

  nodeUp(id: number): void {
    this.#turn(id, true);
    for (const topic of this.topics.values()) {
      for (const partition of topic.partitions) {
        const preferred = partition.replicas[0] === id;
        if (partition.leader === -1 || preferred) partition.lead(this.#firstAlive(partition.replicas));
      }
    }
  }

  /** Switches a node on or off; who waits at a coordinator that changes thereby is told to look for the new one. */
  #turn(id: number, alive: boolean): void {
    const node = this.#node(id);
    // A node that has just begun to listen counts as up already; its groups have not moved yet.
    node.alive = !alive;
    const before = new Map([...this.groups.keys()].map((group) => [group, this.coordinatorOf(group)]));
    node.alive = alive;
    for (const group of this.groups.values()) {
      if (before.get(group.id) !== this.coordinatorOf(group.id)) group.interrupt(CODES.NOT_COORDINATOR);
    }
  }

  #node(id: number): NodeInfo {
    const node = this.nodes.find((each) => each.id === id);
    if (!node) throw new BrokerOptionError('node', `there is no node ${id}, only 1 to ${this.nodes.length}`);
    return node;
  }

  #firstAlive(replicas: readonly number[]): number {
    return replicas.find((id) => this.nodes.find((node) => node.id === id)?.alive) ?? -1;
  }

  // Topics -----------------------------------------------------------------------------------------------------------

  get defaultReplication(): number {
    return Math.min(this.nodes.length, DEFAULT_REPLICATION);
  }

  createTopic(options: {
    name: string;
    partitions: number;
    replicationFactor?: number;
    configs?: ReadonlyMap<string, string>;
    /** Replicas of each partition, the leader first. */
    assignment?: readonly (readonly number[])[];
  }): Topic {
    const replicationFactor = options.replicationFactor ?? this.defaultReplication;
    const topic: Topic = {
      name: options.name,
      id: randomId(this.options.random),
      replicationFactor,
      partitions: [],
      config: new TopicConfig(this.#defaults, options.configs ?? new Map()),
    };
    this.topics.set(options.name, topic);
    this.growTopic(topic, options.partitions, options.assignment);
    return topic;
  }

  growTopic(topic: Topic, partitions: number, assignment?: readonly (readonly number[])[]): void {
    const had = topic.partitions.length;
    for (let index = had; index < partitions; index++) {
      const replicas = assignment?.[index - had] ?? this.#placeReplicas(topic.replicationFactor);
      const leader = this.#firstAlive(replicas);
      topic.partitions.push(new Partition({ topic: topic.name, index, replicas, leader, memory: this.memory }));
    }
  }

  /** Leaders go round the nodes over all topics, so that one-partition topics are spread too. */
  #placeReplicas(replicationFactor: number): number[] {
    const first = this.#placed++;
    return Array.from({ length: replicationFactor }, (_, index) => this.nodes[(first + index) % this.nodes.length]!.id);
  }

  deleteTopic(name: string): boolean {
    const topic = this.topics.get(name);
    if (!topic) return false;
    this.topics.delete(name);
    for (const partition of topic.partitions) {
      partition.lead(-1);
      partition.clear();
    }
    for (const group of this.groups.values()) group.offsets.deleteTopic(name);
    return true;
  }

  topicById(id: string): Topic | undefined {
    for (const topic of this.topics.values()) if (topic.id === id) return topic;
    return undefined;
  }

  partition(topic: string, index: number): Partition | undefined {
    return this.topics.get(topic)?.partitions[index];
  }

  /** The partition, when `node` is the one to ask; else the code to answer with. */
  ledBy(node: number, topic: string, index: number): Partition | number {
    const partition = this.partition(topic, index);
    if (!partition) return CODES.UNKNOWN_TOPIC_OR_PARTITION;
    return partition.leader === node ? partition : CODES.NOT_LEADER_OR_FOLLOWER;
  }

  #applyRetention(): void {
    const now = this.options.clock.now();
    for (const topic of this.topics.values()) {
      if (topic.config.retentionMs < 0) continue;
      for (const partition of topic.partitions) partition.trimTime(now - topic.config.retentionMs);
    }
  }

  // Groups -----------------------------------------------------------------------------------------------------------

  /** The node that coordinates a group; -1 when all are down. */
  coordinatorOf(group: string): number {
    const home = this.#homeOf(group);
    const at = this.nodes.findIndex((node) => node.id === home);
    for (let step = 0; step < this.nodes.length; step++) {
      const node = this.nodes[(at + step) % this.nodes.length]!;
      if (node.alive) return node.id;
    }
    return -1;
  }

  #homeOf(group: string): number {
    return this.#coordinators.get(group) ?? this.nodes[hashName(group) % this.nodes.length]!.id;
  }

  moveCoordinator(group: string, node: number): void {
    if (!this.#node(node).alive) throw new BrokerOptionError('node', `node ${node} is down`);
    const moves = this.coordinatorOf(group) !== node;
    this.#coordinators.set(group, node);
    if (moves) this.groups.get(group)?.interrupt(CODES.NOT_COORDINATOR);
  }

  group(id: string): Group {
    let group = this.groups.get(id);
    if (!group) {
      group = new Group({
        id,
        clock: this.options.clock,
        random: this.options.random,
        initialRebalanceDelayMs: this.options.initialRebalanceDelayMs,
        moved: (moved, from) =>
          this.events.emit('group:moved', {
            group: id,
            from,
            to: moved.state,
            generation: moved.generation,
            members: moved.members.size,
          }),
      });
      this.groups.set(id, group);
    }
    return group;
  }

  deleteGroup(id: string): void {
    this.groups.get(id)?.end(CODES.COORDINATOR_NOT_AVAILABLE);
    this.groups.delete(id);
  }

  nextProducerId(): number {
    return this.#nextProducerId++;
  }
}
