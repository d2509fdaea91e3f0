/** Rates of counters over a short window, for the view. */
interface Sample {
  readonly at: number;
  readonly value: number;
}

export class Rates {
  readonly #windowMs: number;
  readonly #samples = new Map<string, Sample[]>();

  constructor(windowMs: number) {
    this.#windowMs = windowMs;
  }

  /** @returns growth a second over the window, the newest sample included; 0 until there are two */
  observe(name: string, at: number, value: number): number {
    let samples = this.#samples.get(name);
    if (!samples) {
      samples = [];
      this.#samples.set(name, samples);
    }
    samples.push({ at, value });
    // One sample older than the window stays, so that a rate spans the whole of it.
    while (samples.length > 2 && at - samples[1]!.at >= this.#windowMs) samples.shift();
    const first = samples[0]!;
    return at > first.at ? Math.max(0, ((value - first.value) / (at - first.at)) * 1000) : 0;
  }
}
