/**
 * Answers KEDA for every worker of a topology, also for those of which none runs: that is what wakes them.
 *
 *   topology file -> a ScalingView for each worker -> gRPC (KEDA), /scaling, /metrics
 *
 * It reads committed offsets, end offsets and group state, and writes nothing. Several may run beside each other: they see
 * the same offsets and give the same answers.
 */
import { type Cancel, type Clock, describeError, type Logger } from '@weir/core';
import type { Admin, ScalingAnswer, Topology } from '@weir/sdk';
import { type ExternalScaler, type HttpServer, ScalingView, startExternalScaler, startHttp } from '@weir/sdk/runtime';
import { createMetrics } from './metrics.ts';

export interface ScalerOptions {
  readonly topology: Topology;
  /** Started and stopped by the scaler. */
  readonly admin: Admin;
  readonly clock: Clock;
  readonly log: Logger;
  readonly intervalMs: number;
  /** 0 picks a free one. */
  readonly grpcPort: number;
  readonly httpPort: number;
  readonly tls?: { readonly cert: string; readonly key: string; readonly ca?: string };
}

/** Kafka forgets the offsets of an empty group after 7 days, and with them where to go on. */
const WARN_EMPTY_MS = 5 * 24 * 3_600_000;
const CHECK_EMPTY_MS = 10 * 60_000;
const LONGEST_RETRY_MS = 10_000;

export class Scaler {
  readonly #options: ScalerOptions;
  readonly #views: ReadonlyMap<string, ScalingView>;
  readonly #stopping = new AbortController();
  readonly #warned = new Set<string>();
  #grpc: ExternalScaler | undefined;
  #http: HttpServer | undefined;
  #cancelCheck: Cancel | undefined;
  #connecting: Promise<void> | undefined;
  #stopped: Promise<void> | undefined;
  #detail = 'not connected to Kafka yet';

  constructor(options: ScalerOptions) {
    this.#options = options;
    const { admin, clock, intervalMs, log } = options;
    this.#views = new Map(
      options.topology.workers.map((worker) => [
        worker.name,
        new ScalingView({ admin, worker, clock, intervalMs, log: log.child({ worker: worker.name }) }),
      ]),
    );
    // In the log of the scaler, which is one; workers keep such a view each and would all say the same.
    for (const view of this.#views.values())
      view.on('plan:changed', ({ worker, to }) =>
        log.info({ worker, desired: to.desired, running: to.running, reason: to.reason }, to.why),
      );
  }

  get grpcPort(): number {
    return this.#grpc?.port ?? 0;
  }

  get httpPort(): number {
    return this.#http?.port ?? 0;
  }

  /**
   * Listens at once and connects to Kafka in the background, as long as it takes: an external scaler that is absent when
   * a ScaledObject is made costs it its HPA.
   * @throws PortTakenError
   */
  async start(): Promise<void> {
    const { clock, log, tls } = this.#options;
    this.#grpc = await startExternalScaler({
      port: this.#options.grpcPort,
      views: this.#views,
      log,
      clock,
      ...(tls ? { tls } : {}),
    });
    const registry = createMetrics(() => this.#answers());
    try {
      this.#http = await startHttp({
        port: this.#options.httpPort,
        health: () => this.#health(),
        scaling: (query) => this.#scaling(query.get('worker')),
        metrics: () => registry.metrics(),
        log,
      });
    } catch (error) {
      await this.stop();
      throw error;
    }
    this.#cancelCheck = clock.every(CHECK_EMPTY_MS, () => this.#warnOfExpiry());
    this.#connecting = this.#connect();
    log.info({ grpcPort: this.grpcPort, httpPort: this.httpPort, workers: [...this.#views.keys()] }, 'scaler started');
  }

  /** Safe early and twice. */
  stop(): Promise<void> {
    this.#stopped ??= this.#close();
    return this.#stopped;
  }

  async #close(): Promise<void> {
    this.#stopping.abort(new Error('the scaler stops'));
    this.#cancelCheck?.();
    for (const view of this.#views.values()) view.stop();
    await this.#grpc?.stop();
    await this.#http?.stop();
    await this.#connecting;
    await this.#options.admin.stop();
  }

  async #connect(): Promise<void> {
    const { admin, clock, log } = this.#options;
    const { signal } = this.#stopping;
    for (let wait = 500; !signal.aborted; wait = Math.min(LONGEST_RETRY_MS, wait * 2)) {
      try {
        await admin.start();
        this.#detail = 'no group has been looked at yet';
        if (!signal.aborted) for (const view of this.#views.values()) void view.start();
        return;
      } catch (error) {
        const detail = describeError(error);
        if (detail !== this.#detail) log.warn({ error }, 'not connected to Kafka; trying again');
        this.#detail = detail;
        await clock.sleep(wait, signal).catch(() => undefined);
      }
    }
  }

  #answers(): ScalingAnswer[] {
    return [...this.#views.values()].flatMap((view) => {
      const reply = view.answer();
      return reply.status === 200 ? [reply.body] : [];
    });
  }

  #health(): { live: boolean; ready: boolean; detail: string } {
    const answered = this.#answers().length;
    const all = this.#views.size;
    // Ready with one answer: a topic that is missing must not keep KEDA from all the other workers.
    const ready = answered > 0 || all === 0;
    return { live: true, ready, detail: ready ? `answers for ${answered} of ${all} workers` : this.#detail };
  }

  #scaling(worker: string | null): { status: 200 | 404 | 503; body: object } {
    if (worker !== null) {
      const view = this.#views.get(worker);
      const known = [...this.#views.keys()].join(', ');
      return view
        ? view.answer()
        : { status: 404, body: { error: `there is no worker "${worker}" in the topology; it has: ${known}` } };
    }
    const workers = Object.fromEntries([...this.#views].map(([name, view]) => [name, view.answer().body]));
    return { status: 200, body: { workers } };
  }

  #warnOfExpiry(): void {
    for (const [worker, view] of this.#views) {
      const snapshot = view.latest?.snapshot;
      if (!snapshot) continue;
      const lastCommit = Math.max(0, ...snapshot.partitions.map((each) => each.signal?.sentAt ?? 0));
      const old = snapshot.state === 'Empty' && lastCommit > 0 && snapshot.takenAt - lastCommit > WARN_EMPTY_MS;
      if (!old) this.#warned.delete(worker);
      else if (!this.#warned.has(worker)) {
        this.#warned.add(worker);
        this.#options.log.warn(
          { worker, group: snapshot.group, lastCommit: new Date(lastCommit).toISOString() },
          'nobody has committed for 5 days: Kafka forgets the offsets of an empty group after 7 (offsets.retention.minutes); run one worker once, or its position is lost',
        );
      }
    }
  }
}
