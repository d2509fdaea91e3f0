import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { type AssignerMember, assign, assignAgain, assignFresh } from './assigner.ts';
import type { TopicPartition } from './port.ts';

interface Weighted extends TopicPartition {
  readonly load: number | undefined;
}
const loadOf = ({ load }: Weighted) => load;
const nameOf = ({ topic, partition }: TopicPartition) => `${topic}/${partition}`;

const topicOf = (loads: readonly (number | undefined)[], topic = 't'): Weighted[] =>
  loads.map((load, partition) => ({ topic, partition, load }));
const uniform = (count: number, topic = 't') =>
  topicOf(
    Array.from({ length: count }, () => undefined),
    topic,
  );

const member = (id: string, claims: readonly TopicPartition[] = [], over: Partial<AssignerMember> = {}) => ({
  id,
  topics: new Set(['t']),
  leaving: false,
  claims,
  generation: 1,
  ...over,
});

const counts = (dealt: ReadonlyMap<string, readonly unknown[]>) => [...dealt.values()].map((share) => share.length);
const ownerOf = (dealt: ReadonlyMap<string, readonly TopicPartition[]>) =>
  new Map([...dealt].flatMap(([id, share]) => share.map((each) => [nameOf(each), id] as const)));
const claimsAfter = (
  dealt: ReadonlyMap<string, readonly TopicPartition[]>,
  generation = 2,
  over: Partial<AssignerMember> = {},
) => [...dealt].map(([id, claims]) => member(id, claims, { generation, ...over }));

/** Partitions that a member had and that another one has now. */
function moves(
  before: ReadonlyMap<string, readonly TopicPartition[]>,
  after: typeof before,
): [string, string, string][] {
  const owner = ownerOf(after);
  return [...ownerOf(before)].flatMap(([name, from]) => {
    const to = owner.get(name);
    return to === undefined || to === from ? [] : [[name, from, to] as [string, string, string]];
  });
}

const loads = fc.oneof(
  fc.constant(0),
  fc.constant(10),
  fc.constant(undefined),
  fc.double({ min: 0, max: 100, noNaN: true }),
  fc.double({ min: 9, max: 11, noNaN: true }),
  fc.constant(500),
);
const partitionsOf = (topics: readonly string[], most = 24) =>
  fc
    .tuple(...topics.map((topic) => fc.array(loads, { maxLength: most }).map((each) => topicOf(each, topic))))
    .map((each) => each.flat());

describe('assign', () => {
  const anyGroup = fc
    .record({
      partitions: partitionsOf(['a', 'b', 'c'], 12),
      members: fc.array(
        fc.record({
          topics: fc.subarray(['a', 'b', 'c']).map((each) => new Set(each)),
          leaving: fc.boolean(),
          generation: fc.integer({ min: -1, max: 3 }),
          claims: fc.array(
            fc.record({ topic: fc.constantFrom('a', 'b', 'c', 'gone'), partition: fc.integer({ min: -1, max: 13 }) }),
            { maxLength: 20 },
          ),
        }),
        { maxLength: 8 },
      ),
    })
    .map(({ partitions, members }) => ({
      partitions,
      members: members.map((each, at): AssignerMember => ({ id: `m${at}`, ...each })),
    }));

  test('whatever members claim, every partition goes once to a subscribed member that stays', () => {
    fc.assert(
      fc.property(anyGroup, ({ members, partitions }) => {
        const dealt = assign(members, partitions, loadOf);
        expect([...dealt.keys()]).toEqual(members.map(({ id }) => id));
        const given = [...dealt].flatMap(([id, share]) => share.map((each) => ({ id, each })));
        const wanted = partitions.filter(({ topic }) => members.some((m) => !m.leaving && m.topics.has(topic)));
        expect(given.map(({ each }) => nameOf(each)).sort()).toEqual(wanted.map(nameOf).sort());
        for (const { id, each } of given) {
          const owner = members.find((m) => m.id === id);
          expect(owner?.leaving).toBe(false);
          expect(owner?.topics.has(each.topic)).toBe(true);
        }
      }),
      { numRuns: 500 },
    );
  });

  test('the order in which members, claims and partitions are read does not matter', () => {
    fc.assert(
      fc.property(anyGroup, fc.infiniteStream(fc.nat()), ({ members, partitions }, order) => {
        const shuffled = <T>(values: readonly T[]) =>
          values
            .map((value) => ({ value, at: order.next().value! }))
            .sort((a, b) => a.at - b.at)
            .map(({ value }) => value);
        const other = shuffled(members.map((each) => ({ ...each, claims: shuffled(each.claims) })));
        expect([...assign(other, shuffled(partitions), loadOf)]).toEqual([...assign(members, partitions, loadOf)]);
      }),
    );
  });

  test('a group that is dealt out anew stays as it is', () => {
    fc.assert(
      fc.property(partitionsOf(['t'], 40), fc.integer({ min: 1, max: 12 }), (partitions, count) => {
        const first = assign(
          Array.from({ length: count }, (_, at) => member(`m${at + 10}`)),
          partitions,
          loadOf,
        );
        expect([...assign(claimsAfter(first), partitions, loadOf)]).toEqual([...first]);
      }),
    );
  });

  test('no member is heavier than the mean and one partition, give or take a fifth', () => {
    const claimed = fc.array(fc.nat(11), { minLength: 40, maxLength: 40 });
    fc.assert(
      fc.property(partitionsOf(['t'], 40), fc.integer({ min: 1, max: 12 }), claimed, (partitions, count, claims) => {
        const members = Array.from({ length: count }, (_, at) =>
          member(
            `m${at + 10}`,
            partitions.filter(({ partition }) => claims[partition] === at),
          ),
        );
        const known = partitions.map(({ load }) => load).filter((load) => load !== undefined);
        const median = known.toSorted((a, b) => a - b)[Math.floor(known.length / 2)] ?? 0;
        const weight = (each: Weighted) => each.load ?? median;
        const sum = (share: readonly Weighted[]) => share.reduce((total, each) => total + weight(each), 0);
        const mean = sum(partitions) / count;
        const most = Math.max(0, ...partitions.map(weight));
        // Rounding of loads (half a step, 4.4 %) and the little that every partition weighs come on top.
        for (const share of assign(members, partitions, loadOf).values())
          expect(sum(share)).toBeLessThanOrEqual((1.25 * mean + 1.5 * most) * 1.1);
      }),
      { numRuns: 1_000 },
    );
  });

  test('without loads the counts differ by one at most, and no more partitions move than that takes', () => {
    fc.assert(
      fc.property(
        fc.integer({ min: 1, max: 60 }),
        fc.array(fc.oneof(fc.constant('join'), fc.nat(100)), { maxLength: 12 }),
        (count, steps) => {
          const partitions = uniform(count);
          let dealt = assign([member('m100')], partitions, loadOf);
          let made = 100;
          let generation = 1;
          for (const step of steps) {
            const ids = [...dealt.keys()];
            const gone = step === 'join' || ids.length === 1 ? undefined : ids[step % ids.length];
            const members = claimsAfter(dealt, ++generation).filter(({ id }) => id !== gone);
            if (step === 'join') members.push(member(`m${++made}`));
            const next = assign(members, partitions, loadOf);
            const share = counts(next);
            expect(Math.max(...share) - Math.min(...share)).toBeLessThanOrEqual(1);
            const least = Math.floor(count / share.length);
            // Some may keep one more than the least: as many as there are left over, the fullest first.
            let left = count % share.length;
            const needed = members
              .map(({ claims }) => claims.length)
              .sort((a, b) => b - a)
              .reduce((sum, had) => sum + Math.max(0, had - least - (had > least && left-- > 0 ? 1 : 0)), 0);
            const stayed = new Map([...dealt].filter(([id]) => id !== gone));
            expect(moves(stayed, next).length).toBe(needed);
            dealt = next;
          }
        },
      ),
    );
  });

  test('when a member joins, what moves goes to it and nowhere else', () => {
    fc.assert(
      fc.property(partitionsOf(['t'], 40), fc.integer({ min: 1, max: 12 }), (partitions, count) => {
        const before = assign(
          Array.from({ length: count }, (_, at) => member(`m${at + 10}`)),
          partitions,
          loadOf,
        );
        for (const newcomer of ['a', 'm13x', 'z']) {
          const after = assign([...claimsAfter(before), member(newcomer)], partitions, loadOf);
          for (const [, , to] of moves(before, after)) expect(to).toBe(newcomer);
        }
      }),
    );
  });

  test('when a member leaves, its partitions move and no other, whether it is gone or says that it goes', () => {
    fc.assert(
      fc.property(partitionsOf(['t'], 40), fc.integer({ min: 2, max: 12 }), fc.nat(), (partitions, count, which) => {
        const before = assign(
          Array.from({ length: count }, (_, at) => member(`m${at + 10}`)),
          partitions,
          loadOf,
        );
        const leaver = `m${(which % count) + 10}`;
        const stay = claimsAfter(before).filter(({ id }) => id !== leaver);
        const said = claimsAfter(before).map((each) => ({ ...each, leaving: each.id === leaver }));
        for (const members of [stay, said]) {
          const after = assign(members, partitions, loadOf);
          for (const [, from] of moves(before, after)) expect(from).toBe(leaver);
          expect(after.get(leaver) ?? []).toEqual([]);
        }
      }),
    );
  });

  test('a claim of an older generation loses', () => {
    const partitions = uniform(4);
    const zombie = member('a', partitions, { generation: 3 });
    const owner = member('b', partitions, { generation: 4 });
    const dealt = assign([zombie, owner], partitions, loadOf);
    // Half of them must move to the one who claims in vain; none is kept by it.
    expect(counts(dealt)).toEqual([2, 2]);
    const other = assign([member('a'), owner], partitions, loadOf);
    expect([...dealt]).toEqual([...other]);
  });

  test('a hot partition gets a worker to itself when that helps', () => {
    const partitions = topicOf([100, ...Array.from({ length: 23 }, () => 3)]);
    for (const members of [
      [member('a'), member('b')],
      [member('a', partitions.slice(0, 12)), member('b', partitions.slice(12))],
      [member('a', partitions), member('b')],
    ]) {
      const shares = [...assign(members, partitions, loadOf).values()].map((share) => share.length);
      expect(shares.sort((a, b) => a - b)).toEqual([1, 23]);
    }
    const alone = assign([member('a', partitions.slice(0, 8)), member('b'), member('c')], partitions, loadOf);
    expect(alone.get('a')?.map(({ partition }) => partition) ?? []).toHaveLength(1);
  });

  test('what only flickers moves nothing, what is out of balance does', () => {
    const flicker = topicOf(Array.from({ length: 24 }, (_, at) => 10 + ((at * 7) % 5) / 5));
    const halves = [member('a', flicker.slice(0, 12)), member('b', flicker.slice(12))];
    expect(moves(new Map(halves.map(({ id, claims }) => [id, claims])), assign(halves, flicker, loadOf))).toEqual([]);
    const hot = topicOf(Array.from({ length: 24 }, (_, at) => (at < 12 ? 20 : 4)));
    const uneven = [member('a', hot.slice(0, 12)), member('b', hot.slice(12))];
    const moved = moves(new Map(uneven.map(({ id, claims }) => [id, claims])), assign(uneven, hot, loadOf));
    expect(moved.length).toBeGreaterThan(2);
    expect(moved.length).toBeLessThan(7);
  });

  test('members with other subscriptions get what they have subscribed to, evenly', () => {
    const partitions = [...uniform(4, 'a'), ...uniform(4, 'b')];
    const both = member('x', [], { topics: new Set(['a', 'b']) });
    const one = member('y', [], { topics: new Set(['a']) });
    const dealt = assign([both, one], partitions, loadOf);
    expect(dealt.get('y')?.map(nameOf)).toEqual(['a/0', 'a/1', 'a/2', 'a/3']);
    expect(dealt.get('x')?.map(nameOf)).toEqual(['b/0', 'b/1', 'b/2', 'b/3']);
  });

  test('a thousand partitions and two hundred members take milliseconds', () => {
    const partitions = topicOf(Array.from({ length: 1_000 }, (_, at) => ((at * 7919) % 100) + 1));
    const before = assign(
      Array.from({ length: 200 }, (_, at) => member(`m${1_000 + at}`)),
      partitions,
      loadOf,
    );
    const began = performance.now();
    const after = assign([...claimsAfter(before).slice(10), member('new')], partitions, loadOf);
    expect(performance.now() - began).toBeLessThan(1_000);
    expect([...after.values()].flat()).toHaveLength(1_000);
  });
});

describe('a thorough assignment', () => {
  test('moves what the usual one leaves where it is, because the difference may be noise', () => {
    const partitions = topicOf([30, 20, 20, 20, 10, 10]);
    const today = [member('a', partitions.slice(0, 3)), member('b', partitions.slice(3))];
    expect([...assign(today, partitions, loadOf).values()].map((share) => share.length)).toEqual([3, 3]);
    const thorough = [...assign(today, partitions, loadOf, true).values()];
    expect(thorough.map((share) => share.reduce((sum, { load }) => sum + load!, 0)).sort()).toEqual([50, 60]);
  });

  test('moves nothing when nothing makes the heavier one lighter', () => {
    const partitions = topicOf([30, 25, 28, 27]);
    const before = assign([member('a', [partitions[0]!, partitions[1]!]), member('b')], partitions, loadOf);
    const after = assign(claimsAfter(before), partitions, loadOf, true);
    expect(moves(before, after)).toEqual([]);
  });
});

describe('assignFresh', () => {
  test('members that are one too many get nothing', () => {
    expect(assignFresh(3, uniform(2), loadOf).map((share) => share.map(nameOf))).toEqual([['t/0'], ['t/1'], []]);
  });

  test.each([0, -1, 1.5, Number.NaN])('%d members are refused', (count) => {
    expect(() => assignFresh(count, [], () => undefined)).toThrow(RangeError);
  });
});

describe('assignAgain', () => {
  test('is what real members with these claims would get, whatever their ids', () => {
    const partitions = topicOf([50, 10, 10, 10, 10, 10, 10, 10]);
    const today = [partitions.slice(0, 4), partitions.slice(4)];
    const again = assignAgain(today, partitions, loadOf).map((share) => share.map(nameOf));
    expect(again).toEqual(
      [...assign([member('a', today[0]), member('b', today[1])], partitions, loadOf).values()].map((share) =>
        share.map(nameOf),
      ),
    );
    const turned = assignAgain(today.toReversed(), partitions, loadOf).map((share) => share.map(nameOf));
    expect(turned).toEqual(again.toReversed());
  });
});
