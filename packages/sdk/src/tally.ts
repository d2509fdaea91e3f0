/** Counting on the hot path: plain numbers that prom-client gets to see only when somebody scrapes. */

/** Numbers by label values, handed to prom-client when scraped. Up to two labels vary; the rest is fixed. */
export class Tally {
  readonly #cells = new Map<string, Map<string, { count: number }>>();
  // Records of one topic with one outcome come in rows: the last cell is mostly the next one.
  #first: string | undefined;
  #second: string | undefined;
  #cell = { count: 0 };

  add(first: string, second: string, count: number): void {
    if (first !== this.#first || second !== this.#second) {
      this.#cell = this.#at(first, second);
      this.#first = first;
      this.#second = second;
    }
    this.#cell.count += count;
  }

  #at(first: string, second: string): { count: number } {
    let row = this.#cells.get(first);
    if (!row) {
      row = new Map();
      this.#cells.set(first, row);
    }
    let cell = row.get(second);
    if (!cell) {
      cell = { count: 0 };
      row.set(second, cell);
    }
    return cell;
  }

  *[Symbol.iterator](): Generator<[first: string, second: string, count: number]> {
    for (const [first, row] of this.#cells) for (const [second, { count }] of row) yield [first, second, count];
  }
}

/**
 * A histogram without labels of its own: an array of counters. prom-client's own costs a hash of labels for every
 * observation, several times as much, and a handler may be called 200,000 times a second.
 */
export class FlatHistogram {
  readonly name: string;
  readonly help: string;
  readonly type = 'histogram';
  readonly aggregator = 'sum';
  readonly #labels: Readonly<Record<string, string>>;
  readonly #bounds: readonly number[];
  readonly #counts: number[];
  #sum = 0;
  #count = 0;

  /** @param options.bounds  upper bounds of the buckets, rising; one without bound is added */
  constructor(options: {
    name: string;
    help: string;
    bounds: readonly number[];
    labels: Readonly<Record<string, string>>;
  }) {
    this.name = options.name;
    this.help = options.help;
    this.#bounds = options.bounds;
    this.#labels = options.labels;
    this.#counts = new Array<number>(options.bounds.length).fill(0);
  }

  observe(value: number): void {
    if (!Number.isFinite(value)) return;
    this.#sum += value;
    this.#count += 1;
    for (let at = 0; at < this.#bounds.length; at++) {
      if (value > this.#bounds[at]!) continue;
      this.#counts[at]! += 1;
      return;
    }
  }

  reset(): void {
    this.#counts.fill(0);
    this.#sum = 0;
    this.#count = 0;
  }

  /** What prom-client's registry asks of a metric. */
  get(): Promise<unknown> {
    const values: object[] = [];
    let below = 0;
    for (const [at, bound] of this.#bounds.entries()) {
      below += this.#counts[at]!;
      values.push({ metricName: `${this.name}_bucket`, labels: { ...this.#labels, le: bound }, value: below });
    }
    values.push({ metricName: `${this.name}_bucket`, labels: { ...this.#labels, le: '+Inf' }, value: this.#count });
    values.push({ metricName: `${this.name}_sum`, labels: this.#labels, value: this.#sum });
    values.push({ metricName: `${this.name}_count`, labels: this.#labels, value: this.#count });
    return Promise.resolve({ name: this.name, help: this.help, type: this.type, aggregator: this.aggregator, values });
  }
}
