/**
 * One consumer group member, wired from the rooms: the Kafka port feeds the intake, a runner takes turns among its
 * partitions and calls the handler within the limit, the settlement routes what comes of it, the committer writes
 * watermarks and signals. This file owns the member's life and nothing else:
 *
 *   starting --opened, connected--> running --drain--> draining --finished or deadline--> stopped
 *                                      \--join begins--> revoking --assigned--> running
 *
 * Past 500 lines it is still one file: the constructor is the wiring diagram of all rooms, and the life of a member is one
 * state machine; what has a concept of its own has moved to member/.
 */
import { type Cancel, type Clock, type Logger, type Random, within } from '@weir/core';
import type { Resolved } from './config.ts';
import { BatchRunner } from './delivery/batch-runner.ts';
import { errorLine, isTransient } from './delivery/classify.ts';
import { Committer } from './delivery/committer.ts';
import { FairQueue } from './delivery/fair.ts';
import { Intake } from './delivery/intake.ts';
import type { CallHost } from './delivery/invocation.ts';
import { Narrowing } from './delivery/narrowing.ts';
import { Outlet } from './delivery/outlet.ts';
import type { Owned } from './delivery/owned.ts';
import { Reader } from './delivery/reader.ts';
import { Runner } from './delivery/runner.ts';
import { Settlement } from './delivery/settlement.ts';
import { Tracing } from './delivery/tracing.ts';
import { Budget } from './flow/backpressure.ts';
import { Dependencies, type DependencyMoved } from './flow/dependencies.ts';
import { GradientTuner } from './flow/gradient-tuner.ts';
import { Limiter } from './flow/limiter.ts';
import type { MemoryProbe } from './flow/memory-guard.ts';
import { fixedTuner, type Tuner } from './flow/tuner.ts';
import type {
  Admin,
  Assignment,
  Consumer,
  ConsumerListener,
  ConsumerStatus,
  FetchedBatch,
  KafkaPort,
  Producer,
  StartPosition,
  TopicPartition,
} from './kafka/port.ts';
import { seenAlive } from './member/alive.ts';
import { Arrivals } from './member/arrivals.ts';
import { DeadLetterCalls } from './member/dead-letter-calls.ts';
import { readGauges } from './member/gauges.ts';
import { Holdings, type LostReason } from './member/holdings.ts';
import { MemoryWatch } from './member/memory-watch.ts';
import { openPatiently } from './member/opening.ts';
import { Quiet } from './member/quiet.ts';
import { Signals } from './member/signals.ts';
import { standingOf } from './member/standing.ts';
import type { Signal } from './metadata.ts';
import type { Metrics, WorkerGauges } from './metrics.ts';
import { LoadMeter } from './scaling/meter.ts';
import { Rejoins, type Wanted } from './scaling/rejoins.ts';
import type { Health } from './serve/http.ts';
import type { Topology } from './topology.ts';

export interface WorkerOptions {
  readonly resolved: Resolved;
  readonly kafka: KafkaPort;
  readonly metrics: Metrics;
  readonly log: Logger;
  readonly clock: Clock;
  readonly random: Random;
  readonly topology: Topology;
  /** The process's memory; without it nobody looks. */
  readonly memory?: MemoryProbe;
  /** In place of what the declaration's `open` would make: for tests. */
  readonly resources?: unknown;
}

export interface DrainReport {
  /** Everything in flight was finished and committed within the deadline. */
  readonly clean: boolean;
  /** Records in hand that the next owner will handle again. */
  readonly handedOver: number;
}

export interface RunningWorker {
  /** Opens resources, connects and joins; resolves when the first join is under way. */
  start(): Promise<void>;
  /** Stops intake at once, finishes what is in flight, flushes, commits, leaves. `signal` ends the waiting. */
  drain(signal: AbortSignal): Promise<DrainReport>;
  /** Aborts handlers: the drain's deadline, or a second signal. */
  abort(): void;
  /**
   * Somebody has looked at the group. When the plan wants its partitions dealt anew the leader joins again, once per
   * catchUp at most; everybody else does nothing.
   */
  planned(plan: Wanted): void;
  health(): Health;
  gauges(): WorkerGauges;
  signals(): Signal[];
  /** Nothing to run and nothing on its way: only what waits for a time or a dependency, if anything. For tests. */
  readonly idle: boolean;
}

const CHECK_TIMEOUTS_MS = 250;
const LONGEST_RENEWAL_MS = 30_000;
const LAST_COMMIT_WITHIN_MS = 3_000;
const LAST_COMMIT_AGAIN_MS = 50;
/** Handlers wait at most so long for the commit that says their member is at work. */
const TAKE_UP_WITHIN_MS = 2_000;
const MOST_END_OFFSET_INTERVAL_MS = 5_000;

export function createWorker(options: WorkerOptions): RunningWorker {
  return new GroupMember(options);
}

class GroupMember implements RunningWorker, ConsumerListener {
  readonly #options: WorkerOptions;
  readonly #resolved: Resolved;
  readonly #clock: Clock;
  readonly #log: Logger;
  readonly #metrics: Metrics;
  readonly #consumer: Consumer;
  readonly #producer: Producer;
  readonly #admin: Admin;
  readonly #limiter: Limiter;
  readonly #tuner: Tuner;
  readonly #memory: MemoryWatch;
  readonly #dependencies: Dependencies;
  readonly #meter: LoadMeter;
  readonly #intake: Intake;
  readonly #fair = new FairQueue();
  readonly #tracing: Tracing | undefined;
  readonly #outlet: Outlet;
  readonly #settlement: Settlement;
  readonly #narrowing: Narrowing;
  readonly #reader: Reader;
  readonly #runner: Runner | BatchRunner;
  readonly #committer: Committer;
  readonly #host: { -readonly [K in keyof CallHost]: CallHost[K] };
  readonly #signals: Signals;
  readonly #holdings: Holdings;
  readonly #quiet = new Quiet();
  readonly #arrivals: Arrivals;
  readonly #deadLetterCalls: DeadLetterCalls;
  readonly #rejoins = new Rejoins();
  readonly #timers: Cancel[] = [];
  readonly #opening = new AbortController();
  #phase: 'new' | 'running' | 'draining' | 'stopped' = 'new';
  #revoking = false;
  #revokingSinceMs = 0;
  #revokes = 0;
  #joined = false;
  /** Counts assignments; until the current one's partitions are told that somebody is at work, no handler starts. */
  #takeUps = 0;
  #takingUp = false;
  #aborted = false;
  #resources: unknown;
  #opened = false;
  /** While what the handler works with cannot be opened: why. */
  #waitsFor: string | undefined;
  #saturated = false;
  /** Dependencies without keys: the whole worker waits for them. */
  readonly #plain: readonly string[];

  constructor(options: WorkerOptions) {
    this.#options = options;
    const { resolved, kafka, clock, log, metrics } = options;
    this.#resolved = resolved;
    this.#clock = clock;
    this.#log = log;
    this.#metrics = metrics;
    this.#producer = kafka.producer();
    this.#admin = kafka.admin();
    this.#consumer = kafka.consumer({
      group: resolved.group,
      topics: resolved.consumes.map((each) => each.name),
      listener: this,
      revokeWaitMs: resolved.revokeWaitMs,
      standing: () =>
        standingOf({
          leaving: this.#stopping,
          intake: this.#intake,
          meter: this.#meter,
          signals: this.#signals,
          catchUpMs: resolved.scaling.catchUpMs,
        }),
    });
    this.#plain = Object.keys(resolved.dependencies).filter((name) => !resolved.dependencies[name]?.keyed);
    this.#limiter = new Limiter(resolved.concurrency.start);
    const { start, max, fixed } = resolved.concurrency;
    // Batches in flight are bounded by the partitions; what a batch costs is the sink's, not the number of batches.
    this.#tuner = fixed || resolved.batch !== undefined ? fixedTuner(start) : new GradientTuner({ start, max, clock });
    this.#dependencies = new Dependencies({
      dependencies: resolved.dependencies,
      breaker: resolved.breaker,
      concurrency: resolved.concurrency.start,
      isTransient,
      clock,
    });
    this.#dependencies.on('dependency:moved', (event) => this.#dependencyMoved(event));
    this.#meter = new LoadMeter({
      clock,
      catchUpMs: resolved.scaling.catchUpMs,
      ...(resolved.batch ? { batchRecords: resolved.batch.maxRecords } : {}),
    });
    this.#intake = new Intake({
      resolved,
      budget: new Budget(resolved.queue.bytes),
      now: () => clock.monotonic(),
      pause: (partitions) => this.#consumer.pause(partitions),
      resume: (partitions) => this.#consumer.resume(partitions),
      onRedelivered: (count) => metrics.redelivered(count),
    });
    this.#memory = new MemoryWatch({
      probe: options.memory,
      settings: resolved.memory,
      clock,
      log,
      hand: () => ({
        inflight: this.#limiter.inflight,
        records: this.#intake.records,
        limit: this.#tuner.limit,
      }),
      onChange: () => this.#memoryMoved(),
    });
    this.#tracing = Tracing.open(resolved.group, clock);
    this.#outlet = new Outlet({ resolved, producer: this.#producer, clock, log, metrics, tracing: this.#tracing });
    this.#host = {
      outlet: this.#outlet,
      clock,
      log,
      config: resolved.config,
      resources: undefined,
      call: (dependency, key, work, outer) => this.#dependencies.call(dependency, key, work, outer),
      originOf: (error) => this.#dependencies.originOf(error),
    };
    const onDeadLetter = resolved.worker.onDeadLetter?.bind(resolved.worker);
    this.#deadLetterCalls = new DeadLetterCalls({
      host: this.#host,
      hook: async (record, reason, ctx) => onDeadLetter?.(record, reason, ctx as never),
      onEnded: () => this.#quiet.told(),
    });
    this.#arrivals = new Arrivals({
      admin: this.#admin,
      intake: this.#intake,
      meter: this.#meter,
      topics: resolved.consumes.map((each) => each.name),
      log,
    });
    this.#settlement = new Settlement({
      resolved,
      outlet: this.#outlet,
      breakers: this.#dependencies,
      clock,
      log,
      metrics,
      onAgain: (delivery) => {
        this.#fair.add(delivery.owned);
        this.#narrowing.look();
        this.#runner.pump();
      },
      onSettled: (delivery) => {
        this.#intake.settled(delivery);
        if (delivery.owned.runnable) this.#fair.add(delivery.owned);
        this.#narrowing.look();
        this.#quiet.told();
      },
      onRoom: () => this.#runner.pump(),
      deadLetterHook: onDeadLetter ? (delivery, reason) => this.#deadLetterCalls.call(delivery, reason) : undefined,
      abandoning: () => this.#aborted,
    });
    this.#reader = new Reader({ resolved, settlement: this.#settlement, metrics, topology: options.topology });
    this.#runner = this.#makeRunner();
    const writer = Array.from({ length: 8 }, () => options.random.below(36).toString(36)).join('');
    this.#signals = new Signals({
      resolved,
      writer,
      meter: this.#meter,
      limiter: this.#limiter,
      tuner: this.#tuner,
      intake: this.#intake,
      paused: () => (this.#plainOpen() ? 'breaker' : this.#memory.short ? 'memory' : undefined),
      log,
      metrics,
    });
    this.#narrowing = new Narrowing({
      fair: this.#fair,
      clock,
      log,
      metrics,
      writeAhead: () => this.#committer.commitAll(),
      mayStart: () => this.#phase === 'running' && !this.#revoking && !this.#takingUp && !this.#aborted,
      atWork: () => this.#runner.atWork + this.#deadLetterCalls.running,
      room: () => this.#limiter.limit - this.#limiter.inflight,
      pump: () => this.#runner.pump(),
      bury: (delivery, error, read) => {
        delivery.attempt = error.strikes - 1;
        if (!read || this.#reader.read(delivery)) this.#settlement.failed(delivery, error);
      },
      alive: (ends) => {
        const topics = resolved.consumes.map((each) => each.name);
        return seenAlive(ends, { admin: this.#admin, group: resolved.group, topics, self: writer, clock, log });
      },
      returnsWithinMs: resolved.kafka.sessionTimeoutMs,
    });
    this.#holdings = new Holdings({
      resolved,
      writer,
      intake: this.#intake,
      settlement: this.#settlement,
      narrowing: this.#narrowing,
      clock,
      signals: this.#signals,
      meter: this.#meter,
      log,
      metrics,
      resources: () => this.#resources,
      signal: this.#opening.signal,
      abortCalls: (reason, which) => this.#runner.abort(reason, which),
    });
    this.#committer = new Committer({
      consumer: () => this.#consumer,
      owned: () => this.#intake.partitions(),
      metadata: (owned, offset, how) => this.#signals.metadataOf(owned, offset, how),
      metadataRefused: (longest, bare) => this.#signals.refused(longest, bare),
      // A worker that is to catch up within seconds must not show the arrival rate of half a minute ago.
      renewAfterMs: Math.min(LONGEST_RENEWAL_MS, resolved.scaling.catchUpMs / 2),
      clock,
      log,
      metrics,
    });
    metrics.observe(() => this.gauges());
  }

  // ---- life ---------------------------------------------------------------------------------------------------------

  async start(): Promise<void> {
    if (this.#phase !== 'new') return;
    this.#phase = 'running';
    const { worker } = this.#resolved;
    if (this.#options.resources !== undefined) this.#resources = this.#options.resources;
    else if (worker.open !== undefined) {
      const init = {
        config: this.#resolved.config,
        log: this.#log,
        clock: this.#clock,
        worker: this.#resolved.name,
        group: this.#resolved.group,
        registry: this.#metrics.registry,
        epoch: this.#resolved.epoch,
        signal: this.#opening.signal,
      };
      this.#resources = await openPatiently({
        open: () => worker.open?.(init),
        registry: this.#metrics.registry,
        clock: this.#clock,
        log: this.#log,
        signal: this.#opening.signal,
        waits: (what) => {
          this.#waitsFor = what;
        },
      });
    }
    this.#opened = true;
    this.#host.resources = this.#resources;
    if (this.#stopping) return;
    await Promise.all([this.#producer.start(), this.#admin.start()]);
    if (this.#stopping) return;
    this.#timers.push(
      this.#clock.every(this.#resolved.commitIntervalMs, () => this.#tick()),
      this.#clock.every(CHECK_TIMEOUTS_MS, () => this.#runner.checkTimeouts()),
      this.#clock.every(Math.min(MOST_END_OFFSET_INTERVAL_MS, this.#resolved.scalingIntervalMs), () => {
        void this.#arrivals.look();
      }),
      this.#memory.start(),
    );
    await this.#consumer.start();
  }

  async drain(signal: AbortSignal): Promise<DrainReport> {
    if (this.#stopping) return { clean: true, handedOver: 0 };
    this.#phase = 'draining';
    this.#opening.abort(new Error('the worker is being stopped'));
    this.#intake.hold(true);
    this.#narrowing.stop();
    if (this.#runner instanceof BatchRunner) this.#runner.flush();
    const onAbort = () => this.abort();
    signal.addEventListener('abort', onAbort, { once: true });
    if (signal.aborted) onAbort();
    await this.#whenQuiet(signal);
    await this.#whenIdle(signal);
    const clean = !this.#aborted;
    for (const cancel of this.#timers.splice(0)) cancel();
    await this.#commitLast(signal);
    let handedOver = 0;
    for (const owned of this.#intake.partitions()) handedOver += owned.ledger.unfinished;
    await this.#consumer.stop();
    this.#holdings.giveUp([...this.#intake.partitions()], 'stopped');
    this.#settlement.stop();
    if (this.#runner instanceof BatchRunner) this.#runner.stop();
    await this.#producer.stop(signal);
    await this.#admin.stop();
    this.#dependencies.stop();
    if (this.#opened && this.#options.resources === undefined) await this.#resolved.worker.close?.(this.#resources);
    this.#phase = 'stopped';
    signal.removeEventListener('abort', onAbort);
    return { clean, handedOver };
  }

  abort(): void {
    if (this.#aborted) return;
    this.#aborted = true;
    const reason = new Error('the worker is stopping: its drain deadline is over');
    this.#runner.abort(reason);
    this.#deadLetterCalls.abort(reason);
    this.#quiet.told();
  }

  planned(plan: Wanted): void {
    const now = this.#clock.monotonic();
    if (!this.#rejoins.looked(plan, now) || this.#phase !== 'running' || !this.#consumer.rejoin()) return;
    this.#rejoins.began(now);
    this.#log.info({}, 'the load is uneven: joining again, as leader, to have the partitions dealt anew');
  }

  health(): Health {
    const slots = this.#limiter.limit;
    const stuck = this.#runner.stuck;
    const live = stuck < slots;
    const status = this.#consumer.status;
    const ready =
      this.#phase === 'running' && this.#joined && status.state !== 'connecting' && status.state !== 'crashed';
    const detail = !live
      ? `all ${slots} handler slots are stuck past their timeout`
      : this.#phase !== 'running'
        ? this.#phase
        : this.#waitsFor !== undefined
          ? `not started yet: ${this.#waitsFor}`
          : this.#joined
            ? `${status.state}, ${this.#intake.size} partition(s)${status.detail === '' ? '' : `: ${status.detail}`}`
            : `${status.state}: ${status.detail}`;
    return { live, ready, detail };
  }

  get idle(): boolean {
    if (this.#runner.running > 0 || this.#deadLetterCalls.running > 0 || this.#revoking) return false;
    if (this.#takingUp || this.#narrowing.busy) return false;
    // What a batch worker has queued waits for company, and behind an open breaker everything waits: that is idleness.
    const queuedIsWork = this.#resolved.batch === undefined && !this.#plainOpen();
    for (const owned of this.#intake.partitions())
      if (owned.settling > 0 || owned.running > 0 || (queuedIsWork && owned.runnable)) return false;
    return true;
  }

  get #stopping(): boolean {
    return this.#phase === 'draining' || this.#phase === 'stopped';
  }

  /** Nothing is taken in. */
  get #shut(): boolean {
    return this.#stopping || this.#plainOpen() || this.#memory.short;
  }

  // ---- the consumer's side ------------------------------------------------------------------------------------------

  async assigned(assignment: Assignment): Promise<readonly StartPosition[]> {
    const revokes = this.#revokes;
    const { starts, moved } = await this.#holdings.takeOver(assignment);
    this.#joined = true;
    this.#rejoins.joined(assignment.leader, this.#clock.monotonic());
    if (this.#revoking) {
      const seconds = (this.#clock.monotonic() - this.#revokingSinceMs) / 1000;
      this.#metrics.rebalanced(seconds, moved);
      this.#meter.rebalanced(seconds);
    }
    // Another join may have begun meanwhile: nothing starts before that one has ended, too.
    this.#revoking = this.#revokes !== revokes;
    this.#revokingSinceMs = this.#clock.monotonic();
    this.#intake.hold(this.#shut);
    this.#intake.applyPauses();
    this.#log.info(
      { generation: assignment.generation, partitions: assignment.partitions.length, moved },
      `assigned ${assignment.partitions.length} partition(s)`,
    );
    for (const owned of this.#intake.partitions()) this.#fair.add(owned);
    // Where to start is a promise too: a worker that stores offsets elsewhere must never find none here. And that somebody
    // is at work is to be known before anything can kill him; the first fetch takes as long as this commit.
    this.#takingUp = true;
    const takeUp = ++this.#takeUps;
    setImmediate(() => void this.#takeUp(takeUp));
    return starts;
  }

  async #takeUp(takeUp: number): Promise<void> {
    await within(this.#clock, TAKE_UP_WITHIN_MS, this.#committer.commitAll());
    if (takeUp !== this.#takeUps) return;
    this.#takingUp = false;
    this.#narrowing.look();
    this.#runner.pump();
    this.#quiet.told();
  }

  async revoking(reason: string): Promise<void> {
    this.#revokes++;
    if (!this.#revoking) {
      this.#revoking = true;
      this.#revokingSinceMs = this.#clock.monotonic();
    }
    this.#log.debug({ reason }, 'a join begins: finishing what is in flight');
    const deadline = new AbortController();
    const cancel = this.#clock.after(this.#resolved.revokeWaitMs * 0.9, () => deadline.abort());
    // Commits on the way keep the session alive and save what is done so far.
    const stop = this.#clock.every(Math.max(100, this.#resolved.kafka.sessionTimeoutMs / 3), () => {
      void this.#committer.commit();
    });
    await this.#whenIdle(deadline.signal);
    stop();
    cancel();
    await this.#committer.commitAll('left');
  }

  lost(partitions: readonly TopicPartition[], reason: LostReason): void {
    this.#holdings.giveUp(partitions, reason);
    this.#narrowing.look();
    this.#quiet.told();
  }

  records(batch: FetchedBatch): void {
    const owned = this.#intake.take(batch);
    if (owned === undefined) return;
    this.#fair.add(owned);
    this.#narrowing.look();
    this.#runner.pump();
  }

  async unreadable(batch: TopicPartition & { firstOffset: number; lastOffset: number; error: unknown }): Promise<void> {
    const owned = this.#intake.get(batch);
    if (owned === undefined) return;
    const { topic, partition, firstOffset, lastOffset } = batch;
    const slot = owned.ledger.take(firstOffset);
    if (slot < 0) return;
    owned.ledger.cover(lastOffset);
    await this.#outlet.unreadable({ topic, partition, firstOffset, lastOffset }, errorLine(batch.error), owned.signal);
    if (owned.alive) owned.ledger.finish(slot);
    this.#metrics.deadLettered(topic, 'poison');
  }

  outOfRange({
    topic,
    partition,
    committed,
    logStart,
  }: TopicPartition & { committed: number; logStart: number }): void {
    if (committed > logStart) {
      this.#log.error(
        { topic, partition, committed, logStart },
        `${topic}/${partition}: the log ends before the committed offset ${committed}: the topic was deleted and made again, or a leader without its last records was elected; it is read from its start`,
      );
      return;
    }
    const missed = Math.max(0, logStart - Math.max(0, committed));
    this.#metrics.outOfRange(missed);
    this.#log.error(
      { topic, partition, committed, logStart },
      `${topic}/${partition}: the log starts at ${logStart} now, past the committed offset ${committed}: retention removed ${missed} record(s) before they were handled; give the topic more retention`,
    );
  }

  status(status: ConsumerStatus): void {
    if (status.state === 'crashed') this.#joined = false;
    this.#log.debug({ state: status.state }, status.detail);
  }

  // ---- wiring -------------------------------------------------------------------------------------------------------

  #makeRunner(): Runner | BatchRunner {
    const { resolved, clock, log, metrics } = this.#options;
    const shared = {
      resolved,
      host: this.#host,
      reader: this.#reader,
      settlement: this.#settlement,
      limiter: this.#limiter,
      clock,
      log,
      metrics,
      tracing: this.#tracing,
      mayStart: (running: number) => this.#mayStart(running),
      onCall: (records: number, seconds: number, ok: boolean) => {
        this.#meter.handled(undefined, records, seconds * (resolved.batch === undefined ? records : 1));
        this.#tuner.observe(records, seconds, ok);
      },
      onIdle: () => {
        this.#narrowing.look();
        this.#quiet.told();
      },
    };
    return resolved.batch === undefined
      ? new Runner({ ...shared, fair: this.#fair })
      : new BatchRunner({
          ...shared,
          breakers: this.#dependencies,
          owned: () => this.#batchable(),
          joining: () => this.#revoking,
          abandoning: () => this.#aborted,
        });
  }

  #mayStart(running: number): boolean {
    if (this.#revoking || this.#aborted || this.#takingUp) return false;
    // A drain starts no handler, but a batch worker's last, partial batches go out.
    if (this.#phase === 'draining') return this.#runner instanceof BatchRunner && !this.#plainOpen();
    if (this.#phase !== 'running') return false;
    if (this.#memory.short && running > 0) return false;
    for (const name of this.#plain) {
      const state = this.#dependencies.state(name);
      if (state === 'open' || (state === 'half-open' && running > 0)) return false;
    }
    return true;
  }

  /** Partitions that may be part of a batch now. */
  #batchable(): Iterable<Owned> {
    const { only } = this.#fair;
    return only === undefined ? this.#intake.partitions() : only === null ? [] : [only];
  }

  #plainOpen(): boolean {
    return this.#dependencies.openPlain().length > 0;
  }

  #memoryMoved(): void {
    this.#intake.hold(this.#shut);
    this.#limit();
    this.#runner.pump();
  }

  #dependencyMoved({ dependency, key, from, to, reason }: DependencyMoved): void {
    this.#log[to === 'open' ? 'warn' : 'info'](
      { dependency, key, from, to },
      `circuit breaker of ${dependency}${key === undefined ? '' : ` (${key})`}: ${from} -> ${to} (${reason})`,
    );
    const worst = this.#dependencies.snapshot().find((each) => each.dependency === dependency)?.state ?? to;
    this.#metrics.breaker(dependency, worst);
    if (key === undefined) this.#intake.hold(this.#shut);
    this.#settlement.breakerMoved(dependency, key, to);
    this.#runner.pump();
  }

  // ---- timers -------------------------------------------------------------------------------------------------------

  #tick(): void {
    const waiting = [...this.#intake.partitions()].some((owned) => owned.queued > 0);
    const full = this.#limiter.inflight >= this.#limiter.limit;
    const saturated = (full || this.#saturated) && waiting;
    this.#saturated = full;
    this.#meter.sample(saturated, this.#limiter.limit);
    this.#tune(saturated);
    this.#narrowing.look();
    if (!this.#revoking) void this.#committer.commit();
  }

  #tune(saturated: boolean): void {
    // While memory decides how many are in flight, what is seen says nothing about the tuner's own limit.
    if (this.#memory.ceiling < this.#tuner.limit) this.#tuner.rest();
    else this.#tuner.tick(saturated);
    if (this.#limit()) this.#runner.pump();
  }

  /** @returns whether it moved */
  #limit(): boolean {
    const limit = Math.min(this.#tuner.limit, this.#memory.ceiling);
    if (limit === this.#limiter.limit) return false;
    this.#limiter.limit = limit;
    this.#dependencies.concurrency = limit;
    return true;
  }

  /** A join under way refuses commits for a moment; leaving now would have the next owner repeat what is done. */
  async #commitLast(signal: AbortSignal): Promise<void> {
    const giveUpAt = this.#clock.monotonic() + LAST_COMMIT_WITHIN_MS;
    while (!(await this.#committer.commitAll('left'))) {
      if (signal.aborted || this.#clock.monotonic() >= giveUpAt) {
        this.#log.warn(
          {},
          'the last commit of the drain did not get through: the next owner repeats what it would have said',
        );
        return;
      }
      await this.#clock.sleep(LAST_COMMIT_AGAIN_MS);
    }
  }

  // ---- waiting ------------------------------------------------------------------------------------------------------

  /** No handler is at work and no outcome is on its way. */
  #workIsOut(): boolean {
    if (this.#runner.atWork > 0 || this.#deadLetterCalls.running > 0) return false;
    for (const owned of this.#intake.partitions()) if (owned.settling > 0) return false;
    return true;
  }

  #whenIdle(signal: AbortSignal): Promise<void> {
    return this.#quiet.until(() => this.#workIsOut(), signal);
  }

  /** A drain of a batch worker also hands its last, partial batches to the handler. */
  #whenQuiet(signal: AbortSignal): Promise<void> {
    if (!(this.#runner instanceof BatchRunner)) return Promise.resolve();
    return this.#quiet.until(() => {
      for (const owned of this.#intake.partitions()) if (owned.queued > 0 && !this.#plainOpen()) return false;
      return true;
    }, signal);
  }

  // ---- what others see ----------------------------------------------------------------------------------------------

  gauges(): WorkerGauges {
    return readGauges({
      intake: this.#intake,
      limiter: this.#limiter,
      meter: this.#meter,
      clock: this.#clock,
      running: this.#runner.running,
      stuck: this.#runner.stuck,
      suspects: this.#narrowing.suspects,
      parked: this.#settlement.parking.size,
      breakerOpen: this.#plainOpen(),
      memoryShort: this.#memory.short,
    });
  }

  signals(): Signal[] {
    return [...this.#intake.partitions()].map((owned) => this.#signals.of(owned, owned.ledger.watermark));
  }
}
