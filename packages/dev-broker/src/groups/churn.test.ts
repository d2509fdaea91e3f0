/**
 * A group under seeded churn: members join, sync, beat, commit, leave and fall silent in any order. Whatever happens,
 * no transition is impossible, no answer is kept back for ever, an accepted commit carries the current generation, and
 * when everybody has gone nothing is left: no member, no timer.
 */
import { type Random, seededRandom } from '@weir/core';
import { ManualClock } from '@weir/core/testing';
import { expect, test } from 'vitest';
import { CODES } from '../wire/codes.ts';
import { Group } from './group.ts';
import type { JoinResult } from './member.ts';

const SESSION_MS = 10_000;

/** A client that follows the protocol, more or less. */
class Client {
  readonly instance: string | null;
  id = '';
  generation = -1;
  leads = false;
  others: string[] = [];
  waiting = false;

  constructor(instance: string | null) {
    this.instance = instance;
  }

  joined(result: JoinResult): void {
    this.waiting = false;
    if (result.errorCode === CODES.NONE || result.errorCode === CODES.MEMBER_ID_REQUIRED) this.id = result.memberId;
    if (result.errorCode === CODES.UNKNOWN_MEMBER_ID || result.errorCode === CODES.FENCED_INSTANCE_ID) this.id = '';
    this.generation = result.errorCode === CODES.NONE ? result.generationId : -1;
    this.leads = result.errorCode === CODES.NONE && result.leader === result.memberId;
    this.others = result.members.map(({ memberId }) => memberId);
  }
}

async function churn(random: Random): Promise<void> {
  const clock = new ManualClock();
  const idle = clock.pending;
  const group = new Group({
    id: 'g',
    clock,
    random,
    initialRebalanceDelayMs: random.below(2) * 3000,
    moved: () => undefined,
  });
  const clients = Array.from({ length: 5 }, (_, index) => new Client(index === 0 ? 'static' : null));
  let unanswered = 0;
  const answered = <T>(answer: T | Promise<T>, then: (value: T) => void) => {
    unanswered++;
    void Promise.resolve(answer).then((value) => {
      unanswered--;
      then(value);
    });
  };

  const join = (client: Client) => {
    client.waiting = true;
    const answer = group.join({
      memberId: client.id,
      groupInstanceId: client.instance,
      clientId: 'c',
      clientHost: '/127.0.0.1',
      sessionTimeoutMs: SESSION_MS,
      rebalanceTimeoutMs: 5000 + random.below(30_000),
      protocolType: 'consumer',
      protocols: [{ name: 'range', metadata: Buffer.from([random.below(2)]) }],
      needsMemberId: random.below(2) === 0,
      knowsSkipAssignment: true,
    });
    answered(answer, (result) => client.joined(result));
  };
  const sync = (client: Client) => {
    client.waiting = true;
    const answer = group.sync({
      memberId: client.id,
      groupInstanceId: client.instance,
      generationId: client.generation,
      protocolType: null,
      protocolName: null,
      assignments: client.leads
        ? client.others.map((memberId) => ({ memberId, assignment: Buffer.from(memberId) }))
        : [],
    });
    answered(answer, ({ errorCode, assignment }) => {
      client.waiting = false;
      if (errorCode === CODES.NONE && assignment.length > 0) expect(assignment.toString()).toBe(client.id);
    });
  };

  for (let step = 0; step < 300; step++) {
    const client = clients[random.below(clients.length)]!;
    const action = random.below(10);
    // Who waits for an answer sends nothing, save for the odd client that gave up waiting and joins again.
    if (client.waiting && action > 0) await clock.advance(random.below(1500));
    else if (action <= 2) join(client);
    else if (action <= 4) sync(client);
    else if (action === 5) group.leave(client.id, client.instance);
    else if (action === 6) {
      const code = group.checkCommit(client.id, client.instance, client.generation);
      if (code === CODES.NONE && client.generation >= 0) expect(client.generation).toBe(group.generation);
    } else if (action === 7) group.rebalance();
    else if (action === 8) group.heartbeat(client.id, client.instance, client.generation);
    else await clock.advance(random.below(4000));
    if (group.state === 'Empty') expect(group.members.size).toBe(0);
    if (group.state === 'Stable') {
      expect(group.members.has(group.leader!)).toBe(true);
      for (const member of group.members.values()) expect(member.joining).toBeUndefined();
    }
  }
  // New members that were never answered may stay five minutes, as in Kafka.
  await clock.advance(20 * 60_000);
  expect(unanswered).toBe(0);
  expect(group.state).toBe('Empty');
  expect(group.members.size).toBe(0);
  expect(clock.pending).toBe(idle);
}

test.each(Array.from({ length: 60 }, (_, index) => index + 1))('seed %i', async (seed) => {
  await churn(seededRandom(seed));
});
