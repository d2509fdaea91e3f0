/** The group's states and answers, without sockets, on a clock that moves by hand. */
import { seededRandom } from '@weir/core';
import { ManualClock } from '@weir/core/testing';
import { beforeEach, describe, expect, test } from 'vitest';
import { CODES } from '../wire/codes.ts';
import { Group, type GroupState } from './group.ts';
import type { JoinRequest, JoinResult } from './member.ts';

let clock: ManualClock;
let group: Group;
let states: GroupState[];
beforeEach(() => {
  clock = new ManualClock();
  states = [];
  group = open();
});

function open(initialRebalanceDelayMs = 0): Group {
  return new Group({
    id: 'g',
    clock,
    random: seededRandom(1),
    initialRebalanceDelayMs,
    moved: ({ state }) => states.push(state),
  });
}

function request(overrides: Partial<JoinRequest> = {}): JoinRequest {
  return {
    memberId: '',
    groupInstanceId: null,
    clientId: 'c',
    clientHost: '/127.0.0.1',
    sessionTimeoutMs: 10_000,
    rebalanceTimeoutMs: 60_000,
    protocolType: 'consumer',
    protocols: [{ name: 'range', metadata: Buffer.from('m') }],
    needsMemberId: false,
    knowsSkipAssignment: true,
    ...overrides,
  };
}

const sync = (memberId: string, generationId: number, assignments: { memberId: string; assignment: Buffer }[] = []) =>
  group.sync({ memberId, groupInstanceId: null, generationId, protocolType: null, protocolName: null, assignments });

/** Joins and syncs as a leader who gives everyone their own name. */
async function alone(): Promise<JoinResult> {
  const joined = await group.join(request());
  await sync(joined.memberId, joined.generationId, [{ memberId: joined.memberId, assignment: Buffer.from('all') }]);
  return joined;
}

describe('joining', () => {
  test('the first member leads, and its assignment makes the group stable', async () => {
    const joined = await group.join(request());
    expect(joined).toMatchObject({ errorCode: 0, generationId: 1, protocolName: 'range', leader: joined.memberId });
    expect(joined.members).toHaveLength(1);
    const synced = await sync(joined.memberId, 1, [{ memberId: joined.memberId, assignment: Buffer.from('all') }]);
    expect(synced.assignment.toString()).toBe('all');
    expect(states).toEqual(['PreparingRebalance', 'CompletingRebalance', 'Stable']);
  });

  test('from version 4 on, a new member is sent back with its id, and rejoins with it', async () => {
    const refused = await group.join(request({ needsMemberId: true }));
    expect(refused.errorCode).toBe(CODES.MEMBER_ID_REQUIRED);
    expect(refused.memberId).toMatch(/^c-[0-9a-f-]{36}$/);
    expect(await group.join(request({ memberId: refused.memberId }))).toMatchObject({
      errorCode: 0,
      memberId: refused.memberId,
    });
  });

  test('an id that was handed out is forgotten after the session timeout', async () => {
    const refused = await group.join(request({ needsMemberId: true }));
    await clock.advance(10_000);
    expect((await group.join(request({ memberId: refused.memberId }))).errorCode).toBe(CODES.UNKNOWN_MEMBER_ID);
  });

  test('a second member makes the first join again; both get the new generation', async () => {
    const first = await alone();
    const second = group.join(request());
    expect(group.state).toBe('PreparingRebalance');
    expect(group.heartbeat(first.memberId, null, 1)).toBe(CODES.REBALANCE_IN_PROGRESS);
    const again = await group.join(request({ memberId: first.memberId }));
    const joined = await second;
    expect(again.generationId).toBe(2);
    expect(joined.generationId).toBe(2);
    expect(again.members.map(({ memberId }) => memberId)).toEqual([first.memberId, joined.memberId]);
    expect(joined.members).toEqual([]);
    expect(joined.leader).toBe(first.memberId);
  });

  test('who does not join again within the rebalance timeout is dropped', async () => {
    const first = await alone();
    const second = group.join(request({ sessionTimeoutMs: 300_000 }));
    await clock.advance(5_000);
    group.heartbeat(first.memberId, null, 1);
    for (let seconds = 0; seconds < 55; seconds += 5) {
      await clock.advance(5_000);
      group.heartbeat(first.memberId, null, 1);
    }
    const joined = await second;
    expect(joined.leader).toBe(joined.memberId);
    expect(group.heartbeat(first.memberId, null, 1)).toBe(CODES.UNKNOWN_MEMBER_ID);
  });

  test('the protocol that all know and most prefer is chosen', async () => {
    const offer = (...names: string[]) => names.map((name) => ({ name, metadata: Buffer.from(name) }));
    const first = await group.join(request({ protocols: offer('range', 'sticky') }));
    const second = group.join(request({ protocols: offer('sticky', 'range') }));
    const third = group.join(request({ protocols: offer('sticky', 'own', 'range') }));
    await group.join(request({ memberId: first.memberId, protocols: offer('range', 'sticky') }));
    expect((await second).protocolName).toBe('sticky');
    expect((await third).protocolName).toBe('sticky');
  });

  test('protocols that have nothing in common with the others’ are refused', async () => {
    await alone();
    const other = request({ protocols: [{ name: 'own', metadata: Buffer.alloc(0) }] });
    expect((await group.join(other)).errorCode).toBe(CODES.INCONSISTENT_GROUP_PROTOCOL);
    expect((await group.join(request({ protocolType: 'connect' }))).errorCode).toBe(CODES.INCONSISTENT_GROUP_PROTOCOL);
  });

  test('a stable follower with the same offer gets the same generation, a leader starts a new one', async () => {
    const first = await alone();
    const second = group.join(request());
    const again = await group.join(request({ memberId: first.memberId }));
    const follower = await second;
    void sync(follower.memberId, 2);
    await sync(again.memberId, 2, []);
    expect(await group.join(request({ memberId: follower.memberId }))).toMatchObject({ generationId: 2 });
    expect(group.state).toBe('Stable');
    void group.join(request({ memberId: again.memberId }));
    expect(group.state).toBe('PreparingRebalance');
  });

  test('an empty group waits a little for more members, and again while they come', async () => {
    group = open(3000);
    const first = group.join(request());
    await clock.advance(2000);
    const second = group.join(request());
    await clock.advance(2500);
    expect(group.state).toBe('PreparingRebalance');
    await clock.advance(1500);
    expect((await first).members.length + (await second).members.length).toBe(2);
    expect(group.generation).toBe(1);
  });
});

describe('sessions', () => {
  test('a member that is silent for its session timeout is expired; heartbeats and commits keep it', async () => {
    const { memberId } = await alone();
    await clock.advance(9_000);
    expect(group.heartbeat(memberId, null, 1)).toBe(CODES.NONE);
    await clock.advance(9_000);
    expect(group.checkCommit(memberId, null, 1)).toBe(CODES.NONE);
    await clock.advance(9_000);
    expect(group.members.size).toBe(1);
    await clock.advance(1_000);
    expect(group.members.size).toBe(0);
    expect(group.state).toBe('Empty');
    expect(group.heartbeat(memberId, null, 1)).toBe(CODES.UNKNOWN_MEMBER_ID);
  });

  test('the expiry of one member makes the others join again', async () => {
    const first = await alone();
    const second = group.join(request({ sessionTimeoutMs: 60_000 }));
    await group.join(request({ memberId: first.memberId }));
    const other = await second;
    void sync(other.memberId, 2);
    await sync(first.memberId, 2);
    await clock.advance(10_000);
    expect(group.heartbeat(other.memberId, null, 2)).toBe(CODES.REBALANCE_IN_PROGRESS);
  });

  test('a member that waits for its join is alive however long it takes, new or not', async () => {
    const first = await alone();
    const second = group.join(request());
    await group.join(request({ memberId: first.memberId }));
    const { memberId } = await second;
    void group.join(request({ sessionTimeoutMs: 1_000 }));
    void group.join(request({ memberId }));
    for (let round = 0; round < 5; round++) {
      await clock.advance(5_000);
      group.heartbeat(first.memberId, null, 2);
    }
    expect(group.state).toBe('PreparingRebalance');
    expect(group.members.size).toBe(3);
  });

  test('a member that joined and never syncs is dropped after the rebalance timeout', async () => {
    const { memberId } = await group.join(request({ sessionTimeoutMs: 600_000 }));
    await clock.advance(60_000);
    expect(group.members.has(memberId)).toBe(false);
    expect(group.state).toBe('Empty');
  });
});

describe('a coordinator that moves away', () => {
  test('knows no more of who has never been told a generation: the others do not wait for it', async () => {
    const first = await alone();
    const second = group.join(request({ clientId: 'new' }));
    const handedOut = await group.join(request({ clientId: 'newer', needsMemberId: true }));
    group.interrupt(CODES.NOT_COORDINATOR);
    const { errorCode, memberId } = await second;
    expect(errorCode).toBe(CODES.NOT_COORDINATOR);
    for (const id of [memberId, handedOut.memberId])
      expect(await group.join(request({ memberId: id }))).toMatchObject({ errorCode: CODES.UNKNOWN_MEMBER_ID });
    expect(await group.join(request({ memberId: first.memberId }))).toMatchObject({ errorCode: 0, generationId: 2 });
    expect([...group.members.keys()]).toEqual([first.memberId]);
  });

  test('leaves the others their place and their sessions', async () => {
    const first = await alone();
    const second = group.join(request());
    await group.join(request({ memberId: first.memberId }));
    const { memberId } = await second;
    const waiting = sync(memberId, 2);
    group.interrupt(CODES.NOT_COORDINATOR);
    expect(await waiting).toMatchObject({ errorCode: CODES.NOT_COORDINATOR });
    expect(group.members.size).toBe(2);
    await clock.advance(10_000);
    expect(group.members.size).toBe(0);
  });

  test('leaves nothing of a group in which nobody was told one', async () => {
    group = open(1_000);
    const only = group.join(request());
    group.interrupt(CODES.NOT_COORDINATOR);
    expect(await only).toMatchObject({ errorCode: CODES.NOT_COORDINATOR });
    await clock.advance(1_000);
    expect([group.state, group.members.size]).toEqual(['Empty', 0]);
  });
});

describe('generations', () => {
  test('an old or future generation is refused everywhere', async () => {
    const { memberId } = await alone();
    for (const generation of [0, 2]) {
      expect(group.heartbeat(memberId, null, generation)).toBe(CODES.ILLEGAL_GENERATION);
      expect(group.checkCommit(memberId, null, generation)).toBe(CODES.ILLEGAL_GENERATION);
      expect((await sync(memberId, generation)).errorCode).toBe(CODES.ILLEGAL_GENERATION);
    }
  });

  test('commits: taken while a rebalance is prepared, not between join and sync', async () => {
    const { memberId } = await alone();
    group.rebalance();
    expect(group.state).toBe('PreparingRebalance');
    expect(group.checkCommit(memberId, null, 1)).toBe(CODES.NONE);
    await group.join(request({ memberId }));
    expect(group.state).toBe('CompletingRebalance');
    expect(group.checkCommit(memberId, null, 1)).toBe(CODES.ILLEGAL_GENERATION);
    expect(group.checkCommit(memberId, null, 2)).toBe(CODES.REBALANCE_IN_PROGRESS);
  });

  test('commits without a generation: only into an empty group', async () => {
    expect(group.checkCommit('', null, -1)).toBe(CODES.NONE);
    const { memberId } = await alone();
    expect(group.checkCommit('', null, -1)).toBe(CODES.UNKNOWN_MEMBER_ID);
    group.leave(memberId, null);
    expect(group.checkCommit('', null, -1)).toBe(CODES.NONE);
  });

  test('a rebalance that begins while a member waits for its assignment sends it back', async () => {
    const first = await alone();
    const second = group.join(request());
    await group.join(request({ memberId: first.memberId }));
    const follower = await second;
    const waiting = sync(follower.memberId, 2);
    void group.join(request());
    expect((await waiting).errorCode).toBe(CODES.REBALANCE_IN_PROGRESS);
  });
});

describe('leaving', () => {
  test('the last member leaves an empty group behind', async () => {
    const { memberId } = await alone();
    expect(group.leave(memberId, null)).toBe(CODES.NONE);
    expect(group.state).toBe('Empty');
    expect(group.leave(memberId, null)).toBe(CODES.UNKNOWN_MEMBER_ID);
  });

  test('a leader that leaves during a rebalance hands over to one that has joined', async () => {
    const first = await alone();
    const second = group.join(request());
    group.leave(first.memberId, null);
    const joined = await second;
    expect(joined.leader).toBe(joined.memberId);
  });
});

describe('static members', () => {
  test('a member that comes back under its instance id keeps its assignment without a rebalance', async () => {
    const first = await group.join(request({ groupInstanceId: 'one' }));
    const syncOf = (memberId: string, generationId: number) =>
      group.sync({
        memberId,
        groupInstanceId: 'one',
        generationId,
        protocolType: null,
        protocolName: null,
        assignments: [{ memberId, assignment: Buffer.from('mine') }],
      });
    await syncOf(first.memberId, 1);
    const back = await group.join(request({ groupInstanceId: 'one' }));
    expect(back).toMatchObject({ errorCode: 0, generationId: 1, skipAssignment: true });
    expect(back.memberId).not.toBe(first.memberId);
    expect(group.state).toBe('Stable');
    expect((await syncOf(back.memberId, 1)).assignment.toString()).toBe('mine');
    expect(group.heartbeat(first.memberId, 'one', 1)).toBe(CODES.FENCED_INSTANCE_ID);
  });

  test('it keeps its place through a rebalance it misses, until its session ends', async () => {
    const absent = await group.join(request({ groupInstanceId: 'one', sessionTimeoutMs: 100_000 }));
    const second = group.join(request());
    await clock.advance(60_000);
    const joined = await second;
    expect(joined.members.map(({ memberId }) => memberId)).toEqual([absent.memberId, joined.memberId]);
    expect(joined.leader).toBe(joined.memberId);
  });

  test('when only absent static members are left, the group waits for them and no generation is made', async () => {
    await group.join(request({ groupInstanceId: 'one', sessionTimeoutMs: 100_000 }));
    const second = await group.join(request({ needsMemberId: true }));
    void group.join(request({ memberId: second.memberId }));
    group.leave(second.memberId, null);
    await clock.advance(60_000);
    expect(group.state).toBe('PreparingRebalance');
    expect(group.generation).toBe(1);
    await clock.advance(100_000);
    expect(group.state).toBe('Empty');
  });

  test('it leaves by its instance id alone', async () => {
    await group.join(request({ groupInstanceId: 'one' }));
    expect(group.leave('', 'one')).toBe(CODES.NONE);
    expect(group.members.size).toBe(0);
  });
});

test('a group that ends tells whoever waits, and sets no timer afterwards', async () => {
  const first = await alone();
  const waiting = group.join(request());
  group.end(CODES.COORDINATOR_NOT_AVAILABLE);
  expect((await waiting).errorCode).toBe(CODES.COORDINATOR_NOT_AVAILABLE);
  expect(group.heartbeat(first.memberId, null, 1)).toBe(CODES.COORDINATOR_NOT_AVAILABLE);
  expect(clock.pending).toBe(0);
});
