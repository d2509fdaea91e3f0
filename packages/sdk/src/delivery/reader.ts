/**
 * Reads a record before its handler gets it: its story (if that is to be believed) and its value. A record that needs no
 * handler (another group's retry, or unreadable) is settled here.
 */
import type { Resolved } from '../config.ts';
import type { Topology } from '../topology.ts';
import { decode } from './codec.ts';
import type { Delivery } from './delivery.ts';
import { HEADER, readStory } from './headers.ts';
import type { Settlement } from './settlement.ts';

export interface ReaderMetrics {
  skippedOtherGroup(count: number): void;
  metadataIgnored(reason: string, count: number): void;
}

export interface ReaderOptions {
  readonly resolved: Resolved;
  readonly settlement: Settlement;
  readonly metrics: ReaderMetrics;
  /** Says which groups read a topic, so that a story which names one of them is believed. */
  readonly topology: Topology;
}

export class Reader {
  readonly #options: ReaderOptions;
  /** Retry and dead-letter topics: the stories of their records are about other workers, and are left alone. */
  readonly #foreign = new Set<string>();
  readonly #topics: ReadonlyMap<string, Resolved['consumes'][number]['topic']>;

  constructor(options: ReaderOptions) {
    this.#options = options;
    this.#topics = new Map(options.resolved.consumes.map((each) => [each.name, each.topic]));
    for (const worker of options.topology.workers) {
      for (const rung of worker.retry) this.#foreign.add(rung.name);
      if (worker.deadLetters) this.#foreign.add(worker.deadLetters.name);
    }
  }

  /** False when there is nothing to call the handler for: the record has been settled, or will be. */
  read(delivery: Delivery): boolean {
    if (delivery.decoded) return true;
    if (delivery.rawHeaders?.[HEADER.group] !== undefined && !this.#ours(delivery)) return false;
    try {
      delivery.value = decode(this.#topics.get(delivery.topic)!, delivery.raw);
      delivery.decoded = true;
      return true;
    } catch (error) {
      this.#options.settlement.failed(delivery, error);
      return false;
    }
  }

  /** Takes over the story of our own group's retry or replay; skips another group's. */
  #ours(delivery: Delivery): boolean {
    const { settlement, resolved, metrics } = this.#options;
    if (this.#foreign.has(delivery.topic)) return true;
    const story = readStory(delivery.rawHeaders);
    if (story === undefined) return true;
    if (story.group === resolved.group) {
      delivery.story = story;
      delivery.attempt = Math.min(story.attempt, resolved.retry.length);
      delivery.replays = story.replays;
      delivery.parked = story.parked;
      return true;
    }
    if (this.#reads(story.group, delivery.topic)) {
      metrics.skippedOtherGroup(1);
      settlement.skip(delivery);
      return false;
    }
    metrics.metadataIgnored('headers', 1);
    return true;
  }

  #reads(group: string, topic: string): boolean {
    return this.#options.topology.workers.some(
      (worker) => worker.group === group && worker.consumes.some((each) => each.name === topic),
    );
  }
}
