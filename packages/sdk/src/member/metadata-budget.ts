/**
 * How much metadata the broker takes beside an offset: 4,096 characters, unless its operator has lowered
 * `offset.metadata.max.bytes`. Nobody tells a client; a refused commit does. Each refusal halves the budget for good,
 * and the skip map shrinks with it. When the bare signal is refused as well, nothing is written any more.
 */
import type { Logger } from '@weir/core';
import { METADATA_LIMIT } from '../metadata.ts';

export interface MetadataBudgetOptions {
  readonly log: Logger;
  readonly metrics: { metadataRefused(): void };
}

export class MetadataBudget {
  readonly #options: MetadataBudgetOptions;
  #characters = METADATA_LIMIT;
  #bareRefused = false;

  constructor(options: MetadataBudgetOptions) {
    this.#options = options;
  }

  /** Characters for all of it; 0 when not even a signal is taken. */
  get characters(): number {
    return this.#bareRefused ? 0 : this.#characters;
  }

  /**
   * @param longest  characters of the longest metadata in the refused commit
   * @param bare     it had nothing that could be left out
   */
  refused(longest: number, bare: boolean): void {
    const first = this.#characters === METADATA_LIMIT;
    this.#characters = Math.min(this.#characters, longest >> 1);
    if (bare) this.#bareRefused = true;
    this.#options.metrics.metadataRefused();
    if (!first && !bare) return;
    this.#options.log.warn(
      { characters: longest },
      bare
        ? `the broker takes not even ${longest} characters of metadata beside an offset: commits go without, so scaling knows lag only, and what is finished out of order is repeated after a crash; set offset.metadata.max.bytes to 4096`
        : `the broker refused ${longest} characters of metadata beside an offset: commits carry less from now on, so more may be repeated after a crash; set offset.metadata.max.bytes to 4096`,
    );
  }
}
