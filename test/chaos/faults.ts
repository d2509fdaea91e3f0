/** Carries a schedule out: each step against what is there when its time comes. */
import { rmSync, writeFileSync } from 'node:fs';
import { setTimeout as wait } from 'node:timers/promises';
import { type Broker, CODES } from '@weir/dev-broker';
import { RETRY_PARTITIONS } from '@weir/sdk';
import type { Cluster } from './cluster.ts';
import type { Fleet, Member } from './fleet.ts';
import type { Commit, Fault, Subject } from './history.ts';
import type { Load } from './load.ts';
import type { FaultName, Step } from './schedule.ts';
import { visit } from './visitor.ts';

export interface FaultsOptions {
  readonly cluster: Cluster;
  readonly fleet: Fleet;
  readonly load: Load;
  readonly subjects: readonly Subject[];
  readonly mostProcesses: number;
  /** The store fails while this file exists. */
  readonly storeFails: string;
  /** Who takes this file away dies between its table commit and its sends. */
  readonly deathWarrant: string;
  readonly tell: (text: string, hit: Fault['hit']) => void;
}

const COMMIT_CODES = [
  CODES.REQUEST_TIMED_OUT,
  CODES.COORDINATOR_LOAD_IN_PROGRESS,
  CODES.NOT_COORDINATOR,
  CODES.REBALANCE_IN_PROGRESS,
];

/** Records done above the watermark that make a commit worth a death. */
const LEAST_AHEAD = 3;
const RESTART_MS = 300;
/** Faults that hit one process, and at once. */
const AT_ONE: ReadonlySet<FaultName> = new Set(['kill', 'terminate', 'freeze', 'scaleDown', 'dropConnections']);
const MOST_TWICE = 20;

export class Faults {
  readonly #options: FaultsOptions;
  readonly #pending = new Set<Promise<void>>();
  /** Groups in which somebody is to die at a commit of work done out of order. */
  readonly #ahead = new Set<string>();

  constructor(options: FaultsOptions) {
    this.#options = options;
    options.cluster.onCommit = (commit) => this.#killAhead(commit);
  }

  /** @param signal  ends it early */
  async run(steps: readonly Step[], signal: AbortSignal): Promise<void> {
    let passed = 0;
    for (const step of steps) {
      await wait(step.atMs - passed, undefined, { signal }).catch(() => undefined);
      if (signal.aborted) return;
      passed = step.atMs;
      const { fault, subject, pick } = step;
      const members = this.#options.fleet.of(subject);
      const member = members[pick % Math.max(1, members.length)];
      const what = await this.#strike(step, members, member).catch(
        (error: unknown) => `not possible: ${String(error)}`,
      );
      this.#options.tell(`${fault} (${subject}): ${what}`, {
        fault,
        subject,
        process: AT_ONE.has(fault) ? member?.name : undefined,
      });
    }
  }

  /** Takes back what lasts, and waits for what is on its way. */
  async end(): Promise<void> {
    const { cluster, storeFails, deathWarrant } = this.#options;
    this.#ahead.clear();
    while (this.#pending.size > 0) await Promise.all(this.#pending);
    cluster.broker?.faults.clear();
    rmSync(storeFails, { force: true });
    rmSync(deathWarrant, { force: true });
  }

  /** The commit is stored, its answer not sent: the next owner starts from exactly this one. */
  #killAhead({ group, memberId, ahead, stored }: Commit): void {
    if (!this.#ahead.has(group) || !stored) return;
    if (ahead.reduce((sum, { from, to }) => sum + to - from, 0) < LEAST_AHEAD) return;
    const { fleet, subjects, tell } = this.#options;
    const subject = subjects.find((each) => each.group === group)!.name;
    const member = fleet.of(subject).find(({ name }) => memberId.startsWith(`${name}-`));
    if (member === undefined) return;
    this.#ahead.delete(group);
    fleet.kill(member);
    this.#later(RESTART_MS, () => void fleet.start(subject));
    tell(`killAhead (${subject}): SIGKILL to ${member.name} at its commit of work done out of order`, {
      fault: 'killAhead',
      subject,
      process: member.name,
    });
  }

  #later(ms: number, work: () => void | Promise<void>): void {
    const done = wait(ms).then(work);
    this.#pending.add(done);
    void done.finally(() => this.#pending.delete(done));
  }

  async #strike(step: Step, members: readonly Member[], member: Member | undefined): Promise<string> {
    const { cluster, fleet, load, storeFails, deathWarrant, mostProcesses } = this.#options;
    const subject = this.#options.subjects.find(({ name }) => name === step.subject)!;
    switch (step.fault) {
      case 'kill':
        if (member === undefined) return 'nobody there';
        fleet.kill(member);
        this.#later(step.forMs, () => void fleet.start(subject.name));
        return `SIGKILL to ${member.name}, another in ${step.forMs} ms`;
      case 'terminate':
        if (member === undefined) return 'nobody there';
        fleet.terminate(member);
        this.#later(step.forMs, () => void fleet.start(subject.name));
        return `SIGTERM to ${member.name}, another in ${step.forMs} ms`;
      case 'freeze':
        if (member === undefined) return 'nobody there';
        member.fate = 'frozen';
        member.child.kill('SIGSTOP');
        this.#later(step.forMs, () => {
          member.fate = 'none';
          member.child.kill('SIGCONT');
        });
        return `SIGSTOP to ${member.name} for ${step.forMs} ms`;
      case 'scaleUp':
        if (members.length >= mostProcesses) return 'enough of them';
        return `${fleet.start(subject.name).name} comes`;
      case 'scaleDown':
        if (member === undefined || members.length < 2) return 'too few of them';
        fleet.terminate(member);
        return `${member.name} goes`;
      case 'killBetween':
        writeFileSync(deathWarrant, '');
        return 'the next batch that is in the table kills its process before the sends';
      case 'storeFails':
        writeFileSync(storeFails, '');
        this.#later(step.forMs * 2, () => rmSync(storeFails, { force: true }));
        return `the store is away for ${step.forMs * 2} ms`;
      case 'brokerRestart': {
        const what = cluster.restart(step.pick, step.forMs);
        if (cluster.broker !== undefined) this.#later(step.forMs + 50, () => undefined);
        return `${await what} is away for ${step.forMs} ms`;
      }
      case 'visitor': {
        const leave = await visit(cluster.client(), subject.group, subject.topics);
        this.#later(step.forMs, () => leave().catch(() => undefined));
        return `a foreign member joins for ${step.forMs} ms`;
      }
      case 'duplicates':
        load.twice(subject.name, 1 + (step.pick % MOST_TWICE));
        return `the next ${1 + (step.pick % MOST_TWICE)} records are produced twice`;
      case 'dropConnections':
        if (member === undefined) return 'nobody there';
        return `${cluster.drop(member.name) ?? 'no'} connections of ${member.name}`;
      default:
        if (cluster.broker === undefined) return 'not on this cluster';
        return this.#inBroker(cluster.broker, step, subject);
    }
  }

  #inBroker(broker: Broker, { fault, pick, forMs }: Step, subject: Subject): string {
    const { faults } = broker;
    const node = 1 + (pick % 2);
    const ofGroup = (request: { groupId: string }) => request.groupId === subject.group;
    switch (fault) {
      case 'rebalance':
        return faults.forceRebalance(subject.group) ? 'everybody joins again' : 'no generation to break';
      case 'expire': {
        const members = broker.inspect().groups.find(({ id }) => id === subject.group)?.members ?? [];
        const one = members[pick % Math.max(1, members.length)];
        if (one === undefined) return 'nobody there';
        faults.expireMember(subject.group, one.id);
        return `the session of ${one.clientId} is over`;
      }
      case 'serveAgain':
        faults.serveAgain(1 + (pick % MOST_TWICE), 8);
        return `the next 8 fetches begin ${1 + (pick % MOST_TWICE)} records too early`;
      case 'killAhead':
        this.#ahead.add(subject.group);
        return `who next commits ${LEAST_AHEAD} records done out of order is killed at that very commit`;
      case 'refuseCommits': {
        const errorCode = COMMIT_CODES[pick % COMMIT_CODES.length]!;
        broker.control('OffsetCommit', (request) => (ofGroup(request) ? { errorCode } : undefined), {
          times: 1 + (pick % 5),
        });
        return `the next ${1 + (pick % 5)} commits with code ${errorCode}`;
      }
      case 'loseCommitAnswers':
        broker.control('OffsetCommit', (request) => (ofGroup(request) ? 'lose-answer' : undefined), {
          times: 1 + (pick % 3),
        });
        return `of the next ${1 + (pick % 3)} commits`;
      case 'slowFetches':
        faults.delayFetches(forMs, 5);
        return `the next 5 by ${forMs} ms`;
      case 'slowProduces':
        broker.control('Produce', (_, { clientId }) => (clientId === 'chaos' ? undefined : { delayMs: forMs }), {
          times: 6,
        });
        return `the next 6 by ${forMs} ms`;
      case 'loseProduceAnswers':
        broker.control('Produce', (_, { clientId }) => (clientId === 'chaos' ? undefined : 'lose-answer'), {
          times: 2,
        });
        return 'of the next 2 requests';
      case 'slowSyncs':
        broker.control('SyncGroup', (request) => (ofGroup(request) ? { lateMs: forMs } : undefined), { times: 4 });
        return `the next 4 hear ${forMs} ms late what they own`;
      case 'moveCoordinator':
        faults.moveCoordinator(subject.group, node);
        return `to node ${node}`;
      case 'moveLeader':
        faults.moveLeader(subject.topics[0]!, pick % RETRY_PARTITIONS, node);
        return `of ${subject.topics[0]}/${pick % RETRY_PARTITIONS} to node ${node}`;
      default:
        return 'unknown';
    }
  }
}
