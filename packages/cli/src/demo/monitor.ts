/**
 * Watches a run: where the records are (from Kafka), what the supervisor has (from itself), which breakers are open (from
 * the workers), and makes the state that is shown. It also answers whether everything is done and whether anything still
 * moves.
 */
import { type Clock, describeError, type Logger } from '@weir/core';
import type { Admin, Topology } from '@weir/sdk';
import { DemoFailedError } from '../errors.ts';
import type { Publication } from '../source/publish.ts';
import type { ServerTotals } from '../source/server.ts';
import { LagAge } from './lag-age.ts';
import { readBreakers } from './probe.ts';
import { Rates } from './rates.ts';
import type { Stage } from './stage.ts';
import type { Supervisor } from './supervisor.ts';
import type { DemoState, Phase, WorkerRow } from './view.ts';
import { clockTime } from './view.ts';
import { lookAround, type Whereabouts } from './watch.ts';

const LOOK_MS = 700;
const BREAKERS_EVERY = 3;
const WINDOW_MS = 4_000;
const NEWS = 20;
/** What waits for these is an attachment (or a repeat of one). */
const ATTACHMENT_WORKERS: ReadonlySet<string> = new Set(['download-worker', 'result-processor', 'retry-scheduler']);

export interface MonitorOptions {
  readonly run: string;
  readonly topology: Topology;
  readonly admin: Admin;
  readonly supervisor: Supervisor;
  readonly published: Publication;
  readonly totals: { readonly records: number; readonly attachments: number; readonly bytes: ServerTotals };
  readonly publishMs: number;
  readonly clock: Clock;
  readonly log: Logger;
  readonly stage: Stage;
}

export class Monitor {
  phase: Phase = 'starting';
  readonly #options: MonitorOptions;
  readonly #rates = new Rates(WINDOW_MS);
  readonly #ages = new LagAge();
  readonly #over = new AbortController();
  readonly #startedAt: number;
  readonly #news: string[] = [];
  readonly #perSecond = new Map<string, number>();
  #publishingSince: number | undefined;
  #seen: Whereabouts | undefined;
  #breakers: readonly string[] = [];
  #kills = 0;
  #movedAt: number;
  #fingerprint = '';
  #loops: Promise<void>[] = [];

  constructor(options: MonitorOptions) {
    this.#options = options;
    this.#startedAt = options.clock.monotonic();
    this.#movedAt = this.#startedAt;
  }

  start(): void {
    if (this.#loops.length > 0) return;
    this.#loops = [this.#look(), this.#show()];
  }

  /** Safe early and twice. */
  async stop(): Promise<void> {
    this.#over.abort();
    await Promise.all(this.#loops);
  }

  /** News for people: shown below the picture, or as a line. */
  say(text: string): void {
    const line = `${clockTime(this.#elapsed())} ${text}`;
    this.#news.push(line);
    if (this.#news.length > NEWS) this.#news.shift();
    if (text.startsWith('kill')) this.#kills++;
    this.#options.stage.say(line);
  }

  /** Share of the attachments whose outcome is in the table. */
  get share(): number {
    const { attachments } = this.#options.totals;
    return attachments === 0 ? 1 : Math.min(1, this.#attachmentsDone() / attachments);
  }

  /** Every record that was published, and everything it caused, is done. */
  get finished(): boolean {
    const seen = this.#seen;
    const { records } = this.#options.totals;
    const [first] = this.#options.topology.workers;
    if (!seen?.idle || !first) return false;
    return first.consumes.reduce((sum, { name }) => sum + (seen.done.get(name) ?? 0), 0) >= records;
  }

  /** Where the records are, in words. */
  describe(): string {
    const lags = this.#seen?.lags.filter(({ lag }) => lag > 0).map(({ worker, lag }) => `${worker} has ${lag} left`);
    return lags?.length ? lags.join(', ') : 'Kafka tells of no backlog';
  }

  /**
   * Resolves when `met`; looks again whenever something was seen.
   * @throws DemoFailedError with `stuck` when nothing has moved for `patienceMs` (`movement: 'ignored'`: when it has passed), or when the supervisor has given up;
   *         the signal's reason when aborted
   */
  async until(
    met: () => boolean,
    options: { signal: AbortSignal; patienceMs: number; movement?: 'counts' | 'ignored'; stuck: () => string },
  ): Promise<void> {
    const { clock, supervisor } = this.#options;
    const since = clock.monotonic();
    while (!met()) {
      options.signal.throwIfAborted();
      if (supervisor.failure) throw supervisor.failure;
      const from = options.movement === 'ignored' ? since : Math.max(since, this.#movedAt);
      if (clock.monotonic() - from > options.patienceMs) throw new DemoFailedError(options.stuck());
      await clock.sleep(200, options.signal);
    }
  }

  state(): DemoState {
    const { run, totals, published, supervisor } = this.#options;
    const seen = this.#seen;
    return {
      run,
      elapsedMs: this.#elapsed(),
      phase: this.phase,
      published: { done: published.sent, total: totals.records, perSecond: this.#perSecond.get('published') ?? 0 },
      attachments: {
        done: this.#attachmentsDone(),
        total: totals.attachments,
        perSecond: this.#perSecond.get('attachments') ?? 0,
      },
      bytesPerSecond: this.#perSecond.get('bytes') ?? 0,
      etaMs: this.#eta(),
      workers: supervisor
        .view()
        .filter(({ name }) => this.#options.topology.workers.some((worker) => worker.name === name))
        .map(
          (view): WorkerRow => ({
            ...view,
            lag: seen?.lags.find(({ worker }) => worker === view.name)?.lag ?? 0,
            lagSeconds: seen?.lags.find(({ worker }) => worker === view.name)?.lagSeconds,
            perSecond: this.#perSecond.get(view.name) ?? 0,
          }),
        ),
      retried: seen?.retried ?? 0,
      deadLetters: seen?.deadLetters ?? 0,
      breakers: this.#breakers,
      kills: this.#kills,
      news: this.#news,
    };
  }

  async #look(): Promise<void> {
    const { admin, topology, clock, log, supervisor } = this.#options;
    for (let round = 0; !this.#over.signal.aborted; round++) {
      try {
        this.#seen = await lookAround({ admin, topology, ages: this.#ages, at: clock.monotonic() });
        this.#measure(this.#seen);
      } catch (error) {
        // The next look may succeed; that nothing moves is noticed by whoever waits.
        log.warn({ error }, `Kafka could not be asked: ${describeError(error)}`);
      }
      if (round % BREAKERS_EVERY === 0) {
        const ports = supervisor.view().flatMap(({ metricsPorts }) => metricsPorts);
        this.#breakers = [...new Set((await Promise.all(ports.map(readBreakers))).flat())];
      }
      await clock.sleep(LOOK_MS, this.#over.signal).catch(() => undefined);
    }
  }

  async #show(): Promise<void> {
    const { clock, stage } = this.#options;
    while (!this.#over.signal.aborted) {
      stage.show(this.state());
      await clock.sleep(stage.intervalMs, this.#over.signal).catch(() => undefined);
    }
  }

  #measure(seen: Whereabouts): void {
    const { clock, published, topology, totals, supervisor } = this.#options;
    const now = clock.monotonic();
    const rate = (name: string, value: number) => this.#perSecond.set(name, this.#rates.observe(name, now, value));
    rate('published', published.sent);
    rate('attachments', this.#attachmentsDone());
    rate('bytes', totals.bytes.bytes);
    for (const worker of topology.workers) {
      rate(
        worker.name,
        worker.consumes.reduce((sum, { name }) => sum + (seen.done.get(name) ?? 0), 0),
      );
    }
    if (this.#publishingSince === undefined && this.phase === 'publishing') this.#publishingSince = now;
    const replicas = supervisor.view().map(({ ready, starting, draining }) => [ready, starting, draining]);
    const fingerprint = JSON.stringify([
      [...seen.done],
      [...seen.written],
      published.sent,
      totals.bytes.bytes,
      replicas,
    ]);
    if (fingerprint !== this.#fingerprint) {
      this.#fingerprint = fingerprint;
      this.#movedAt = now;
    }
  }

  /**
   * A row is in the table before its result's offset is committed, so committed results are rows, but for results that a
   * kill has doubled: whatever is still on its way can be no row yet.
   */
  #attachmentsDone(): number {
    const { topology, totals } = this.#options;
    const results = topology.workers.find(({ name }) => name === 'result-processor')?.consumes ?? [];
    const committed = results.reduce((sum, { name }) => sum + (this.#seen?.done.get(name) ?? 0), 0);
    const onTheWay = this.#seen?.lags
      .filter(({ worker }) => ATTACHMENT_WORKERS.has(worker))
      .reduce((sum, { lag }) => sum + lag, 0);
    return Math.max(0, Math.min(committed, totals.attachments - (onTheWay ?? 0)));
  }

  /** The longer of what publishing still takes and what the work still takes at its present rate. */
  #eta(): number | undefined {
    const { publishMs, totals, clock } = this.#options;
    if (this.phase !== 'publishing' && this.phase !== 'working') return undefined;
    const since = this.#publishingSince;
    if (since === undefined) return undefined;
    const publishing = Math.max(0, publishMs - (clock.monotonic() - since));
    const perSecond = this.#perSecond.get('attachments') ?? 0;
    const left = totals.attachments - this.#attachmentsDone();
    const working = perSecond > 0 ? (left / perSecond) * 1000 : 0;
    return Math.max(publishing, this.phase === 'working' ? working : 0);
  }

  #elapsed(): number {
    return this.#options.clock.monotonic() - this.#startedAt;
  }
}
