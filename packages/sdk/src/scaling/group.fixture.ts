/** A group as an admin client shows it, to be moved by hand in tests. */
import type { Admin, CommittedOffset, GroupDescription, TopicPartition } from '../kafka/port.ts';
import { encodeMetadata, type Signal } from '../metadata.ts';
import { signalOf } from '../signal.fixture.ts';
import type { TopologyWorker } from '../topology.ts';

export const TOPIC = 'xact.downloads.pending';

export const worker: TopologyWorker = {
  name: 'download-worker',
  group: 'xact-download-worker',
  order: 'none',
  consumes: [{ name: TOPIC, declared: 'downloads.pending', partitions: 4, maxMessageBytes: 1_048_576 }],
  produces: [],
  retry: [],
  concurrency: { start: 10, max: 64 },
  scaling: { min: 1, max: 4, catchUpMs: 300_000 },
};

export class GroupFixture {
  readonly #commits = new Map<string, CommittedOffset>();
  ends: (TopicPartition & { start: number; end: number })[] = [0, 1, 2, 3].map((partition) => ({
    topic: TOPIC,
    partition,
    start: 0,
    end: 0,
  }));
  group: GroupDescription = { state: 'Empty', members: [] };
  /** Every request fails with it, or never ends. */
  failure: Error | 'hang' | undefined;
  asked = 0;

  commit(partition: number, offset: number, metadata = ''): void {
    this.#commits.set(`${TOPIC}/${partition}`, { topic: TOPIC, partition, offset, metadata });
  }

  signal(partition: number, offset: number, over: Partial<Signal> & { sentAt: number }): void {
    const signal = signalOf({ writer: `writer-${partition}`, offset, arrivalPerSecond: 10, ...over });
    this.commit(partition, offset, encodeMetadata(signal));
  }

  end(partition: number, end: number, start = 0): void {
    this.ends = this.ends.map((each) => (each.partition === partition ? { ...each, start, end } : each));
  }

  members(count: number, state = 'Stable'): void {
    this.group = {
      state: count === 0 && state === 'Stable' ? 'Empty' : state,
      members: Array.from({ length: count }, (_, at) => ({
        memberId: `member-${at}`,
        clientId: 'w',
        partitions: this.ends
          .filter(({ partition }) => partition % count === at)
          .map(({ topic, partition }) => ({ topic, partition })),
      })),
    };
  }

  get admin(): Admin {
    const answer = async <T>(value: () => T): Promise<T> => {
      this.asked++;
      if (this.failure === 'hang') await new Promise(() => undefined);
      if (this.failure instanceof Error) throw this.failure;
      return value();
    };
    return {
      committed: () => answer(() => [...this.#commits.values()]),
      offsets: () => answer(() => this.ends),
      describeGroup: () => answer(() => this.group),
    } as Partial<Admin> as Admin;
  }
}
