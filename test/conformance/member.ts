/**
 * The smallest honest worker on the Kafka port: a ledger per partition, handlers that take their time, a commit of the
 * low watermark every 200 ms. What it starts is counted in a `World` that all members share, so that a repeated or a
 * forgotten record shows.
 */
import { setTimeout as sleep } from 'node:timers/promises';
import type {
  Assignment,
  Consumer,
  ConsumerListener,
  ConsumerStatus,
  Fetched,
  FetchedBatch,
  KafkaPort,
  Standing,
  StartPosition,
  TopicPartition,
} from '../../packages/sdk/src/kafka/port.ts';

const COMMIT_INTERVAL_MS = 200;

/** What all members together did: how often each record was started. */
export class World {
  readonly started = new Map<string, number>();

  get distinct(): number {
    return this.started.size;
  }

  get repeats(): number {
    let repeats = 0;
    for (const times of this.started.values()) repeats += times - 1;
    return repeats;
  }
}

interface Ledger {
  readonly topic: string;
  readonly partition: number;
  /** Everything below is done. */
  base: number;
  /** The next offset to be handed out. */
  next: number;
  readonly done: Set<number>;
  committed: number;
}

export interface MemberOptions {
  readonly port: KafkaPort;
  readonly group: string;
  readonly topics: readonly string[];
  readonly world?: World;
  readonly handlerMs?: number;
  readonly revokeWaitMs?: number;
  /** Commits only when told. */
  readonly manual?: boolean;
  /** Says that it is about to leave. */
  readonly leaving?: () => boolean;
  /** What it says of its partitions' load. */
  readonly loadOf?: Standing['loadOf'];
}

export type Happened =
  | { kind: 'assigned'; assignment: Assignment; at: number }
  | { kind: 'lost'; partitions: readonly TopicPartition[]; reason: string; at: number }
  | { kind: 'revoking'; at: number }
  | { kind: 'outOfRange'; committed: number; logStart: number; at: number }
  | { kind: 'unreadable'; firstOffset: number; lastOffset: number; at: number };

export class Member implements ConsumerListener {
  readonly consumer: Consumer;
  readonly happened: Happened[] = [];
  readonly batches: (Omit<FetchedBatch, 'records'> & { readonly records: readonly Fetched[] })[] = [];
  readonly world: World;
  readonly ledgers = new Map<string, Ledger>();
  readonly #handlerMs: number;
  #inflight = 0;
  #counter = 0;
  #timer: NodeJS.Timeout | undefined;
  readonly #manual: boolean;
  readonly #writer = Math.random().toString(36).slice(2);

  constructor(options: MemberOptions) {
    this.world = options.world ?? new World();
    this.#handlerMs = options.handlerMs ?? 0;
    this.#manual = options.manual ?? false;
    this.consumer = options.port.consumer({
      group: options.group,
      topics: options.topics,
      listener: this,
      revokeWaitMs: options.revokeWaitMs ?? 5_000,
      standing: () => ({
        leaving: options.leaving?.() ?? false,
        loadOf: options.loadOf ?? (() => undefined),
      }),
    });
  }

  async start(): Promise<this> {
    await this.consumer.start();
    if (!this.#manual) this.#timer = setInterval(() => void this.commit().catch(() => undefined), COMMIT_INTERVAL_MS);
    return this;
  }

  /** A clean end: everything delivered is finished and committed first. */
  async stop(): Promise<void> {
    clearInterval(this.#timer);
    await this.consumer.stop();
  }

  get assignments(): Assignment[] {
    return this.happened.flatMap((event) => (event.kind === 'assigned' ? [event.assignment] : []));
  }

  get owned(): number {
    return this.ledgers.size;
  }

  get delivered(): number {
    return this.batches.reduce((sum, { records }) => sum + records.length, 0);
  }

  async commit(): Promise<void> {
    const entries = [...this.ledgers.values()]
      .filter(({ base, committed }) => base > committed)
      .map(({ topic, partition, base }) => ({
        topic,
        partition,
        offset: base,
        metadata: `${this.#writer}:${++this.#counter}`,
      }));
    if (entries.length === 0) return;
    await this.consumer.commit(entries);
    for (const { topic, partition, offset } of entries) {
      const ledger = this.ledgers.get(`${topic}/${partition}`);
      if (ledger && offset > ledger.committed) ledger.committed = offset;
    }
  }

  async assigned(assignment: Assignment): Promise<readonly StartPosition[]> {
    this.happened.push({ kind: 'assigned', assignment, at: performance.now() });
    return assignment.partitions.map(({ topic, partition, committed, logStart, retained }) => {
      const key = `${topic}/${partition}`;
      let ledger = retained ? this.ledgers.get(key) : undefined;
      if (!ledger) {
        const base = committed >= 0 ? committed : logStart;
        ledger = { topic, partition, base, next: base, done: new Set(), committed };
        this.ledgers.set(key, ledger);
      }
      return { topic, partition, offset: ledger.next };
    });
  }

  async revoking(): Promise<void> {
    this.happened.push({ kind: 'revoking', at: performance.now() });
    while (this.#inflight > 0) await sleep(5);
    await this.commit().catch(() => undefined);
  }

  lost(partitions: readonly TopicPartition[], reason: string): void {
    this.happened.push({ kind: 'lost', partitions, reason, at: performance.now() });
    for (const { topic, partition } of partitions) this.ledgers.delete(`${topic}/${partition}`);
  }

  records(batch: FetchedBatch): void {
    this.batches.push({ ...batch, records: [...batch.records] });
    const ledger = this.ledgers.get(`${batch.topic}/${batch.partition}`);
    if (!ledger) throw new Error(`records of ${batch.topic}/${batch.partition}, which is not assigned`);
    let expected = ledger.next;
    for (const { offset } of batch.records) {
      if (offset < ledger.next) continue;
      // What lies between two records does not exist (markers, compaction): covered.
      for (; expected < offset; expected++) ledger.done.add(expected);
      expected = offset + 1;
      this.#handle(ledger, offset);
    }
    for (; expected <= batch.lastOffset; expected++) ledger.done.add(expected);
    ledger.next = Math.max(ledger.next, batch.lastOffset + 1);
    this.#advance(ledger);
  }

  async unreadable(batch: TopicPartition & { firstOffset: number; lastOffset: number }): Promise<void> {
    const { firstOffset, lastOffset } = batch;
    this.happened.push({ kind: 'unreadable', firstOffset, lastOffset, at: performance.now() });
    const ledger = this.ledgers.get(`${batch.topic}/${batch.partition}`);
    if (!ledger) return;
    for (let offset = firstOffset; offset <= lastOffset; offset++) ledger.done.add(offset);
    ledger.next = Math.max(ledger.next, lastOffset + 1);
    this.#advance(ledger);
  }

  outOfRange(partition: TopicPartition & { committed: number; logStart: number }): void {
    const { committed, logStart } = partition;
    this.happened.push({ kind: 'outOfRange', committed, logStart, at: performance.now() });
    const ledger = this.ledgers.get(`${partition.topic}/${partition.partition}`);
    if (ledger) Object.assign(ledger, { base: logStart, next: logStart });
  }

  readonly statuses: ConsumerStatus[] = [];
  status(status: ConsumerStatus): void {
    this.statuses.push(status);
  }

  #handle(ledger: Ledger, offset: number): void {
    const key = `${ledger.topic}/${ledger.partition}:${offset}`;
    this.world.started.set(key, (this.world.started.get(key) ?? 0) + 1);
    if (this.#handlerMs === 0) {
      ledger.done.add(offset);
      return;
    }
    this.#inflight++;
    setTimeout(
      () => {
        this.#inflight--;
        ledger.done.add(offset);
        this.#advance(ledger);
      },
      this.#handlerMs * (0.5 + Math.random()),
    );
  }

  #advance(ledger: Ledger): void {
    while (ledger.done.delete(ledger.base)) ledger.base++;
  }
}
