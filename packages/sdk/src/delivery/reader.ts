/**
 * Reads a record before its handler gets it: its story (if that is to be believed) and its value. A record that needs no
 * handler (another group's retry, or unreadable) is settled here.
 */
import type { Resolved } from '../config.ts';
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
  /** Whether this group of the topology reads this topic, so that a story that names it is believed. */
  readonly believes: (group: string, topic: string) => boolean;
  /** Topics whose records carry a story about another worker (retry and dead-letter topics): left alone. */
  readonly foreignStories: ReadonlySet<string>;
}

export class Reader {
  readonly #options: ReaderOptions;
  readonly #topics: ReadonlyMap<string, Resolved['consumes'][number]['topic']>;

  constructor(options: ReaderOptions) {
    this.#options = options;
    this.#topics = new Map(options.resolved.consumes.map((each) => [each.name, each.topic]));
  }

  /** False when there is nothing to call the handler for: the record has been settled, or will be. */
  read(delivery: Delivery): boolean {
    if (delivery.decoded) return true;
    if (delivery.fetched.rawHeaders?.[HEADER.group] !== undefined && !this.#ours(delivery)) return false;
    try {
      delivery.value = decode(this.#topics.get(delivery.topic)!, delivery.fetched.raw);
      delivery.decoded = true;
      return true;
    } catch (error) {
      this.#options.settlement.failed(delivery, error);
      return false;
    }
  }

  /** Takes over the story of our own group's retry or replay; skips another group's. */
  #ours(delivery: Delivery): boolean {
    const { settlement, resolved, metrics, believes, foreignStories } = this.#options;
    if (foreignStories.has(delivery.topic)) return true;
    const story = readStory(delivery.fetched.rawHeaders);
    if (story === undefined) return true;
    if (story.group === resolved.group) {
      delivery.story = story;
      delivery.attempt = Math.min(story.attempt, resolved.retry.length);
      delivery.replays = story.replays;
      delivery.parked = story.parked;
      return true;
    }
    if (believes(story.group, delivery.topic)) {
      metrics.skippedOtherGroup(1);
      settlement.skip(delivery);
      return false;
    }
    metrics.metadataIgnored('headers', 1);
    return true;
  }
}
