/** Carries a schedule out: each step against what is there when its time comes. */
import { rmSync, writeFileSync } from 'node:fs';
import { setTimeout as wait } from 'node:timers/promises';
import { type Broker, CODES } from '@weir/dev-broker';
import { RETRY_PARTITIONS } from '@weir/sdk';
import type { Cluster } from './cluster.ts';
import type { Fleet, Member } from './fleet.ts';
import type { Subject } from './history.ts';
import type { Step } from './schedule.ts';

export interface FaultsOptions {
  readonly cluster: Cluster;
  readonly fleet: Fleet;
  readonly subjects: readonly Subject[];
  readonly mostProcesses: number;
  /** The store fails while this file exists. */
  readonly storeFails: string;
  /** Who takes this file away dies between its table commit and its sends. */
  readonly deathWarrant: string;
  readonly tell: (text: string) => void;
}

const COMMIT_CODES = [
  CODES.REQUEST_TIMED_OUT,
  CODES.COORDINATOR_LOAD_IN_PROGRESS,
  CODES.NOT_COORDINATOR,
  CODES.REBALANCE_IN_PROGRESS,
];

export class Faults {
  readonly #options: FaultsOptions;
  readonly #pending = new Set<Promise<void>>();

  constructor(options: FaultsOptions) {
    this.#options = options;
  }

  async run(steps: readonly Step[]): Promise<void> {
    let passed = 0;
    for (const step of steps) {
      await wait(step.atMs - passed);
      passed = step.atMs;
      const what = await this.#strike(step).catch((error: unknown) => `not possible: ${String(error)}`);
      this.#options.tell(`${step.fault} (${step.subject}): ${what}`);
    }
  }

  /** Takes back what lasts, and waits for what is on its way. */
  async end(): Promise<void> {
    const { cluster, storeFails, deathWarrant } = this.#options;
    while (this.#pending.size > 0) await Promise.all(this.#pending);
    cluster.broker?.faults.clear();
    rmSync(storeFails, { force: true });
    rmSync(deathWarrant, { force: true });
  }

  #later(ms: number, work: () => void): void {
    const done = wait(ms).then(work);
    this.#pending.add(done);
    void done.finally(() => this.#pending.delete(done));
  }

  async #strike(step: Step): Promise<string> {
    const { cluster, fleet, storeFails, deathWarrant, mostProcesses } = this.#options;
    const subject = this.#options.subjects.find(({ name }) => name === step.subject)!;
    const members = fleet.of(subject.name);
    const member = members[step.pick % Math.max(1, members.length)];
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
      default:
        if (cluster.broker === undefined) return 'not on this cluster';
        return this.#inBroker(cluster.broker, step, subject, member);
    }
  }

  #inBroker(broker: Broker, { fault, pick, forMs }: Step, subject: Subject, member: Member | undefined): string {
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
      case 'dropConnections':
        return `${faults.dropConnections(({ clientId }) => clientId === member?.name)} connections of ${member?.name}`;
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
        broker.control('SyncGroup', (request) => (ofGroup(request) ? { delayMs: forMs } : undefined), { times: 2 });
        return `the next 2 by ${forMs} ms`;
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
