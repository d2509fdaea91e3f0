/** What a group has committed: an offset with its metadata for each topic and partition. */

export interface CommittedOffset {
  readonly offset: number;
  readonly leaderEpoch: number;
  readonly metadata: string;
  /** Milliseconds since the epoch. */
  readonly at: number;
}

export class CommittedOffsets {
  readonly #topics = new Map<string, Map<number, CommittedOffset>>();

  get(topic: string, partition: number): CommittedOffset | undefined {
    return this.#topics.get(topic)?.get(partition);
  }

  set(topic: string, partition: number, committed: CommittedOffset): void {
    let partitions = this.#topics.get(topic);
    if (!partitions) {
      partitions = new Map();
      this.#topics.set(topic, partitions);
    }
    partitions.set(partition, committed);
  }

  delete(topic: string, partition: number): void {
    const partitions = this.#topics.get(topic);
    partitions?.delete(partition);
    if (partitions?.size === 0) this.#topics.delete(topic);
  }

  deleteTopic(topic: string): void {
    this.#topics.delete(topic);
  }

  topics(): Iterable<[topic: string, partitions: ReadonlyMap<number, CommittedOffset>]> {
    return this.#topics.entries();
  }

  get size(): number {
    let size = 0;
    for (const partitions of this.#topics.values()) size += partitions.size;
    return size;
  }
}
