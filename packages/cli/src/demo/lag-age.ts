/**
 * How long the oldest unfinished record has waited, from offsets alone: remembers when each partition's end passed which
 * offset, and looks up the one that is committed. As exact as the looks are frequent; never too low by more than one.
 */
interface Passed {
  readonly end: number;
  readonly at: number;
}

export class LagAge {
  readonly #passed = new Map<string, Passed[]>();

  /**
   * @param at  milliseconds of a clock that does not go back
   * @returns   seconds; 0 when everything is done
   */
  observe(partition: string, at: number, end: number, committed: number): number {
    let passed = this.#passed.get(partition);
    if (!passed) {
      passed = [];
      this.#passed.set(partition, passed);
    }
    if (end > (passed.at(-1)?.end ?? 0)) passed.push({ end, at });
    while (passed.length > 0 && passed[0]!.end <= committed) passed.shift();
    const oldest = passed[0];
    return committed >= end || !oldest ? 0 : (at - oldest.at) / 1000;
  }
}
