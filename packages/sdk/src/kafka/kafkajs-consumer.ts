/**
 * The consumer of the port: one membership after another. It connects for as long as it takes, and when a membership
 * ends (kafkajs crashed, which a connection reset during a join is enough for; the session was lost; the worker refused
 * an assignment) it makes a new one.
 */
import { describeError } from '@weir/core';
import { BrokerUnreachableError, CommitFencedError, TopicMissingError } from '../errors.ts';
import type { PortContext } from './kafkajs.ts';
import { describeAccess } from './kafkajs-access.ts';
import { errorType } from './kafkajs-client.ts';
import { Membership, NEVER_JOINED } from './kafkajs-membership.ts';
import { Observer } from './kafkajs-observer.ts';
import type { CommitEntry, Consumer, ConsumerOptions, ConsumerStatus, StartPosition, TopicPartition } from './port.ts';

const FIRST_WAIT_MS = 100;
const LONGEST_WAIT_MS = 5_000;
const REPEAT_LOG_MS = 30_000;
/** A membership that lived this long was healthy: the next one is made at once. */
const HEALTHY_MS = 10_000;

export class KafkajsConsumer implements Consumer {
  readonly #context: PortContext;
  readonly #options: ConsumerOptions;
  readonly #observer: Observer;
  readonly #stopping = new AbortController();
  #membership: Membership | undefined;
  #running: Promise<void> | undefined;
  #status: ConsumerStatus;
  #loggedMs = Number.NEGATIVE_INFINITY;
  #logged = '';
  #lastSeenMs = 0;

  constructor(context: PortContext, options: ConsumerOptions) {
    const log = context.log.child({ group: options.group });
    this.#context = { ...context, log };
    this.#options = options;
    this.#observer = new Observer(this.#context);
    this.#status = { state: 'connecting', detail: 'not started', since: context.clock.now() };
  }

  get status(): ConsumerStatus {
    return this.#status;
  }

  get lastSeenMs(): number {
    return Math.max(this.#lastSeenMs, this.#membership?.lastSeenMs ?? 0);
  }

  async start(): Promise<void> {
    if (this.#running || this.#stopping.signal.aborted) return;
    this.#say('connecting', `connecting to ${this.#context.settings.brokers.join(', ')}`);
    this.#running = this.#run();
  }

  async stop(): Promise<void> {
    this.#stopping.abort(new Error('the consumer is stopped'));
    await this.#membership?.close();
    await this.#running;
    await this.#observer.stop();
    if (this.#status.state !== 'stopped') this.#say('stopped', 'left the group');
  }

  pause(partitions: readonly TopicPartition[]): void {
    this.#membership?.pause(partitions);
  }

  resume(partitions: readonly TopicPartition[]): void {
    this.#membership?.resume(partitions);
  }

  seek(position: StartPosition): void {
    this.#membership?.seek(position);
  }

  rejoin(): boolean {
    return this.#membership?.rejoin() ?? false;
  }

  async commit(entries: readonly CommitEntry[]): Promise<void> {
    if (!this.#membership) throw new CommitFencedError('the consumer is not in the group');
    await this.#membership.commit(entries);
  }

  async #run(): Promise<void> {
    const { clock, log, random } = this.#context;
    const stop = this.#stopping.signal;
    let waitMs = FIRST_WAIT_MS;
    let owned = NEVER_JOINED;
    while (!stop.aborted) {
      const events = { status: (state: ConsumerStatus['state'], detail: string) => this.#say(state, detail) };
      const membership = new Membership(this.#context, this.#options, this.#observer, events, owned);
      this.#membership = membership;
      const beganMs = clock.monotonic();
      try {
        await membership.open();
        const { reason, error } = await membership.ended;
        if (reason === 'stopped') break;
        // What this worker would not take is better given to another one.
        owned = reason === 'refused' ? NEVER_JOINED : membership.owned;
        const detail = `${WHY[reason]}: ${describeError(error)}`;
        this.#say('crashed', detail);
        const healthy = clock.monotonic() - beganMs > HEALTHY_MS;
        if (healthy) waitMs = FIRST_WAIT_MS;
        if (healthy && reason !== 'replaced') {
          // Routine: a connection that broke during a join is enough.
          log.info({ reason }, `${detail}; joining again with a new client`);
        } else this.#warn({ error, reason }, `${detail}; joining again with a new client`);
      } catch (error) {
        if (stop.aborted) break;
        await this.#cannotConnect(error);
      } finally {
        this.#lastSeenMs = this.lastSeenMs;
        await membership.close();
        if (this.#membership === membership) this.#membership = undefined;
      }
      await clock.sleep(waitMs * (0.5 + random.next()), stop).catch(() => undefined);
      waitMs = Math.min(waitMs * 2, LONGEST_WAIT_MS);
    }
  }

  /** Says what is wrong: in the status always, in the log at once and then every half minute. */
  async #cannotConnect(error: unknown): Promise<void> {
    const { settings } = this.#context;
    let said = describeAccess(settings, error);
    const type = errorType(error);
    if (type === 'UNKNOWN_TOPIC_OR_PARTITION') {
      const existing = new Set(await this.#observer.existing(this.#options.topics).catch(() => this.#options.topics));
      const missing = this.#options.topics.filter((topic) => !existing.has(topic));
      said = new TopicMissingError(
        missing.length > 0 ? missing : this.#options.topics,
        'create them with `weir topics create`; the consumer goes on looking for them',
      );
    } else if (type !== undefined && said instanceof BrokerUnreachableError) {
      said = new Error(describeError(error), { cause: error });
    }
    this.#say('connecting', said.message);
    this.#warn({ code: (said as { code?: string }).code }, `${said.message}; trying again until it works`);
  }

  #warn(fields: object, message: string): void {
    const { clock, log } = this.#context;
    if (message === this.#logged && clock.monotonic() - this.#loggedMs < REPEAT_LOG_MS) return;
    this.#logged = message;
    this.#loggedMs = clock.monotonic();
    log.warn(fields, message);
  }

  #say(state: ConsumerStatus['state'], detail: string): void {
    this.#status = { state, detail, since: this.#context.clock.now() };
    if (state === 'stable') this.#loggedMs = Number.NEGATIVE_INFINITY;
    try {
      this.#options.listener.status(this.#status);
    } catch (error) {
      this.#context.log.error({ error, state }, 'showing the status failed');
    }
  }
}

const WHY = {
  crash: 'the Kafka client gave up',
  session: 'the session was lost',
  refused: 'the assignment could not be taken',
  replaced: 'a log is not the one that was read',
} as const;
