/**
 * The process's memory for records that wait: bytes, over all partitions. Past the limit partitions pause; they resume
 * at half of it, so that a queue near its bound does not pause and resume with every record.
 *
 *   filling --limit reached--> full --half reached--> filling
 */
export class Budget {
  readonly limit: number;
  #used = 0;

  /** @param limit  bytes */
  constructor(limit: number) {
    if (!(limit > 0)) throw new RangeError(`limit must be above 0 bytes: ${limit}`);
    this.limit = limit;
  }

  get used(): number {
    return this.#used;
  }

  add(bytes: number): void {
    this.#used += bytes;
  }

  remove(bytes: number): void {
    this.#used -= bytes;
    if (this.#used < 0) throw new RangeError('more bytes removed than were added');
  }

  /** Time to pause. */
  get full(): boolean {
    return this.#used >= this.limit;
  }

  /** Time to resume. */
  get low(): boolean {
    return this.#used <= this.limit / 2;
  }
}
