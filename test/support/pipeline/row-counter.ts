/**
 * How many rows a table has, asked again and again at next to no cost: reads only the commits that are new, and of those
 * only the numbers.
 */
import { ObjectNotFoundError, type ObjectStore } from '@weir/storage';

export class RowCounter {
  rows = 0;
  commits = 0;
  readonly #store: ObjectStore;
  readonly #table: string;
  #version = 0;
  #looking: Promise<number> | undefined;

  constructor(store: ObjectStore, table: string) {
    this.#store = store;
    this.#table = table;
  }

  /** @returns the rows so far; safe to ask from several places at once */
  look(): Promise<number> {
    this.#looking ??= this.#look().finally(() => {
      this.#looking = undefined;
    });
    return this.#looking;
  }

  async #look(): Promise<number> {
    for (;;) {
      const commit = await this.#read();
      if (commit === undefined) return this.rows;
      this.#version++;
      for (const line of commit.split('\n')) {
        if (!line.startsWith('{"add"')) continue;
        const { add } = JSON.parse(line) as { add: { stats: string } };
        this.rows += (JSON.parse(add.stats) as { numRecords: number }).numRecords;
        this.commits++;
      }
    }
  }

  async #read(): Promise<string | undefined> {
    const key = `${this.#table}/_delta_log/${String(this.#version).padStart(20, '0')}.json`;
    try {
      return Buffer.from(await this.#store.get(key)).toString('utf8');
    } catch (error) {
      if (error instanceof ObjectNotFoundError) return undefined;
      throw error;
    }
  }
}
