/**
 * End offsets on a timer: a paused partition reports no high watermark with its fetches, and an idle one has none. Who looks
 * also sees when a topic is gone; the client would try on for most of a minute before it says anything.
 */
import type { Logger } from '@weir/core';
import type { Intake } from '../delivery/intake.ts';
import { TopicMissingError } from '../errors.ts';
import type { Admin } from '../kafka/port.ts';
import type { LoadMeter } from '../scaling/meter.ts';

export interface ArrivalsOptions {
  readonly admin: Pick<Admin, 'offsets'>;
  readonly intake: Pick<Intake, 'get' | 'partitions' | 'size'>;
  readonly meter: Pick<LoadMeter, 'observeEnd'>;
  readonly topics: readonly string[];
  readonly log: Logger;
}

export class Arrivals {
  readonly #admin: ArrivalsOptions['admin'];
  readonly #intake: ArrivalsOptions['intake'];
  readonly #meter: ArrivalsOptions['meter'];
  readonly #topics: readonly string[];
  readonly #log: Logger;
  #reading = false;
  /** Gone at the last look; and those that were told. */
  #gone = new Set<string>();
  readonly #told = new Set<string>();

  constructor(options: ArrivalsOptions) {
    this.#admin = options.admin;
    this.#intake = options.intake;
    this.#meter = options.meter;
    this.#topics = options.topics;
    this.#log = options.log;
  }

  /** One look; skipped while the last one is still under way. Never rejects. */
  async look(): Promise<void> {
    if (this.#reading || this.#intake.size === 0) return;
    this.#reading = true;
    try {
      const offsets = await this.#admin.offsets(this.#topics);
      this.#look(new Set(offsets.map(({ topic }) => topic)));
      for (const { topic, partition, end } of offsets) {
        const owned = this.#intake.get({ topic, partition });
        if (owned === undefined) continue;
        owned.end = Math.max(owned.end, end);
        this.#meter.observeEnd(owned, end);
      }
    } catch (error) {
      this.#log.debug({ error }, 'end offsets could not be read; the next round tries again');
    } finally {
      this.#reading = false;
    }
  }

  /** Twice in a row, because metadata may be behind for a moment; once, until it is there again. */
  #look(present: ReadonlySet<string>): void {
    const gone = new Set(
      [...this.#intake.partitions()].map(({ topic }) => topic).filter((topic) => !present.has(topic)),
    );
    const sure = [...gone].filter((topic) => this.#gone.has(topic) && !this.#told.has(topic));
    this.#gone = gone;
    for (const topic of this.#told) if (present.has(topic)) this.#told.delete(topic);
    if (sure.length === 0) return;
    for (const topic of sure) this.#told.add(topic);
    const error = new TopicMissingError(
      sure,
      'it was there when this worker started: create it again with `weir topics create`, and it is read from its start',
    );
    this.#log.error({ code: error.code, topics: sure }, error.message);
  }
}
