/** End offsets on a timer: a paused partition reports no high watermark with its fetches, and an idle one has none. */
import type { Logger } from '@weir/core';
import type { Intake } from '../delivery/intake.ts';
import type { Admin } from '../kafka/port.ts';
import type { LoadMeter } from '../scaling/meter.ts';

export class Arrivals {
  readonly #admin: Admin;
  readonly #intake: Intake;
  readonly #meter: LoadMeter;
  readonly #topics: readonly string[];
  readonly #log: Logger;
  #reading = false;

  constructor(options: { admin: Admin; intake: Intake; meter: LoadMeter; topics: readonly string[]; log: Logger }) {
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
      for (const { topic, partition, end } of await this.#admin.offsets(this.#topics)) {
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
}
