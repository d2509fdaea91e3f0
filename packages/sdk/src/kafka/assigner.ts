/**
 * Which member gets which partition: the arithmetic of the group's assigner. It is pure, so that the scaling plan can ask
 * how `n` workers would share the load before there are `n` of them.
 *
 *   keep     a partition stays with the member that claims it; of two claims the newer generation counts
 *   deal     what nobody keeps goes out, the heaviest first, each to the lightest member that may have it
 *   feed     members that came with nothing are given partitions, from the heaviest members, while that makes the heavier
 *            of the two lighter
 *   settle   members that already had some exchange partitions only when they were clearly out of balance before: a
 *            rebalance is no occasion to chase noise in the measurements. Unless balance is what the group was made to
 *            join for (`thorough`): then whatever makes the heavier of two lighter is moved
 *
 * So a member that joins costs the moves that it needs and no other; when one leaves, only its partitions move; and a
 * partition that is as heavy as all others together ends alone with a worker. A member that is leaving, or has not
 * subscribed to a topic, gets nothing of it. The answer depends on nothing but the input, in whatever order it comes.
 */
import { roundLoad } from './load-scale.ts';
import type { TopicPartition } from './port.ts';

export interface AssignerMember {
  readonly id: string;
  /** What it has subscribed to. */
  readonly topics: ReadonlySet<string>;
  /** It is draining: it gets nothing. */
  readonly leaving: boolean;
  /** What it owned last, and in which generation of the group. */
  readonly claims: readonly TopicPartition[];
  readonly generation: number;
}

/** Every partition weighs a little, this share of the mean load: idle ones are dealt out evenly as well. */
const BASE_SHARE = 0.05;
/**
 * Members that had partitions before are out of balance when their loads differ by this share of a mean member's load
 * (the rates of a young group are no better than that)…
 */
const SPREAD = 0.2;
/** …and a partition moves between them only when the heavier one gets lighter by this share of the partition's weight. */
const GAIN_SHARE = 0.5;
/** A spread that is none: every gain counts. */
const ANY = -1;
/** Sums of fractions differ in their last digits. */
const DUST = 1e-9;

/** A partition in the arithmetic. */
interface Piece<P> {
  readonly partition: P;
  readonly weight: number;
  /** Who claims it and may have it. */
  keeper: Hand<P> | undefined;
}

/** A member in the arithmetic; one that is leaving has no hand. */
interface Hand<P> {
  readonly member: AssignerMember;
  /** In the order of ids. */
  readonly rank: number;
  readonly pieces: Set<Piece<P>>;
  load: number;
  /** It claimed nothing that it may keep. */
  hungry: boolean;
}

interface Move<P> {
  readonly piece: Piece<P>;
  readonly from: Hand<P>;
  readonly to: Hand<P>;
  /** By how much the heavier of the two gets lighter. */
  readonly gain: number;
}

/**
 * @param members     all members of the group
 * @param partitions  every partition of every topic that anybody has subscribed to
 * @param loadOf      records per second that a partition asks of its owner (arrivals, and the backlog spread over the time
 *                    to catch up); undefined when unknown, which counts as the median of the others
 * @param thorough    the group joins only to be balanced
 * @returns           by member id, in the order of the ids; every member is in it. Partitions that nobody may have are in none
 */
export function assign<P extends TopicPartition>(
  members: readonly AssignerMember[],
  partitions: readonly P[],
  loadOf: (partition: P) => number | undefined,
  thorough = false,
): Map<string, P[]> {
  const ordered = [...members].sort((a, b) => (a.id < b.id ? -1 : a.id > b.id ? 1 : 0));
  const hands = ordered
    .filter(({ leaving }) => !leaving)
    .map((member, rank): Hand<P> => ({ member, rank, pieces: new Set(), load: 0, hungry: true }));
  const pieces = weigh(partitions, loadOf);
  keep(ordered, hands, pieces);
  // Of those that had some: a newcomer makes nobody's share of the work look larger than it was.
  const total = pieces.reduce((sum, { weight }) => sum + weight, 0);
  const spread = (SPREAD * total) / Math.max(1, hands.filter(({ hungry }) => !hungry).length);
  const inBalance =
    !thorough &&
    nextMove(
      hands.filter(({ hungry }) => !hungry),
      spread,
    ) === undefined;
  deal(hands, pieces);
  // Every move makes the sum of the squared loads smaller, so this ends; the bound is against rounding.
  for (let left = 4 * pieces.length; left > 0; left--) {
    const move = nextMove(hands, inBalance ? Number.POSITIVE_INFINITY : thorough ? ANY : spread);
    if (!move) break;
    take(move.from, move.piece);
    give(move.to, move.piece);
  }
  const dealt = new Map<string, P[]>(ordered.map(({ id }) => [id, []]));
  for (const { member, pieces: held } of hands) {
    dealt.set(member.id, [...held].map(({ partition }) => partition).sort(byName));
  }
  return dealt;
}

/**
 * What `count` members would get that come with nothing and subscribe to everything.
 * @returns one share for each, of the very objects given; empty shares for members that are one too many
 * @throws  RangeError when `count` is no positive whole number
 */
export function assignFresh<P extends TopicPartition>(
  count: number,
  partitions: readonly P[],
  loadOf: (partition: P) => number | undefined,
): P[][] {
  if (!Number.isInteger(count) || count < 1) {
    throw new RangeError(`a group of ${count} members cannot be assigned anything: give a whole number of 1 or more`);
  }
  return assignAgain(
    Array.from({ length: count }, () => []),
    partitions,
    loadOf,
  );
}

/** What members that own these today would get if they all joined anew: in the same order. */
export function assignAgain<P extends TopicPartition>(
  today: readonly (readonly TopicPartition[])[],
  partitions: readonly P[],
  loadOf: (partition: P) => number | undefined,
  thorough = false,
): P[][] {
  const topics = new Set(partitions.map(({ topic }) => topic));
  // Their ids are not known here; ties are broken by what they own, not by the order in which they are given.
  const firsts = today.map((claims, at) => ({ at, first: [...claims].sort(byName)[0] }));
  firsts.sort((a, b) =>
    a.first && b.first ? byName(a.first, b.first) || a.at - b.at : a.first ? -1 : b.first ? 1 : a.at - b.at,
  );
  const digits = String(today.length).length;
  const idOf = new Map(firsts.map(({ at }, rank) => [at, String(rank).padStart(digits, '0')]));
  const members = today.map(
    (claims, at): AssignerMember => ({ id: idOf.get(at)!, topics, leaving: false, claims, generation: 0 }),
  );
  const dealt = assign(members, partitions, loadOf, thorough);
  return members.map(({ id }) => dealt.get(id)!);
}

function weigh<P extends TopicPartition>(
  partitions: readonly P[],
  loadOf: (partition: P) => number | undefined,
): Piece<P>[] {
  const ordered = [...partitions].sort(byName);
  const loads = ordered.map((partition) => {
    const load = loadOf(partition);
    return load === undefined || !(load >= 0) ? undefined : roundLoad(load);
  });
  const known = loads.filter((load) => load !== undefined).sort((a, b) => a - b);
  const median = known[Math.floor(known.length / 2)] ?? 0;
  const filled = loads.map((load) => load ?? median);
  const total = filled.reduce((sum, load) => sum + load, 0);
  const base = total > 0 ? (BASE_SHARE * total) / filled.length : 1;
  return ordered.map((partition, at) => ({ partition, weight: filled[at]! + base, keeper: undefined }));
}

function keep<P extends TopicPartition>(
  members: readonly AssignerMember[],
  hands: readonly Hand<P>[],
  pieces: readonly Piece<P>[],
): void {
  const claimed = new Map<string, AssignerMember>();
  for (const member of members) {
    for (const claim of member.claims) {
      const rival = claimed.get(keyOf(claim));
      if (!rival || rival.generation < member.generation) claimed.set(keyOf(claim), member);
    }
  }
  const handOf = new Map(hands.map((hand) => [hand.member, hand]));
  for (const piece of pieces) {
    const member = claimed.get(keyOf(piece.partition));
    const hand = member && handOf.get(member);
    if (!hand || !mayHave(hand, piece)) continue;
    piece.keeper = hand;
    hand.hungry = false;
    give(hand, piece);
  }
}

function deal<P extends TopicPartition>(hands: readonly Hand<P>[], pieces: readonly Piece<P>[]): void {
  const left = pieces.filter(({ keeper }) => keeper === undefined).sort((a, b) => b.weight - a.weight);
  // Kept in order, lightest first: a plan tries many numbers of members, and a thousand partitions for each.
  const order = [...hands].sort(byLightness);
  for (const piece of left) {
    const at = order.findIndex((hand) => mayHave(hand, piece));
    const hand = order[at];
    if (!hand) continue;
    give(hand, piece);
    order.splice(at, 1);
    let [low, high] = [at, order.length];
    while (low < high) {
      const middle = (low + high) >> 1;
      if (byLightness(order[middle]!, hand) < 0) low = middle + 1;
      else high = middle;
    }
    order.splice(low, 0, hand);
  }
}

/** Loads that differ by less than rounding are equal: then the fewest partitions decide, then the order of ids. */
function byLightness<P>(a: Hand<P>, b: Hand<P>): number {
  return Math.fround(a.load) - Math.fround(b.load) || a.pieces.size - b.pieces.size || a.rank - b.rank;
}

/**
 * The best move away from the heaviest member that has one; undefined when all is well.
 * @param spread  members that had some before exchange nothing when their loads differ by no more than this
 */
function nextMove<P extends TopicPartition>(hands: readonly Hand<P>[], spread: number): Move<P> | undefined {
  const byLoad = [...hands].sort((a, b) => b.load - a.load);
  const targets = new Map<string, { all: Hand<P> | undefined; hungry: Hand<P> | undefined }>();
  const targetsOf = (topic: string) => {
    let found = targets.get(topic);
    if (!found) {
      const may = ({ member }: Hand<P>) => member.topics.has(topic);
      found = { all: lightest(hands, may), hungry: lightest(hands, (hand) => hand.hungry && may(hand)) };
      targets.set(topic, found);
    }
    return found;
  };
  for (const from of byLoad) {
    let best: Move<P> | undefined;
    const consider = (piece: Piece<P>, to: Hand<P> | undefined, free: boolean) => {
      if (!to || to === from) return;
      const gap = from.load - to.load;
      const gain = Math.min(piece.weight, gap - piece.weight);
      if (gain <= DUST * from.load || gain <= (best?.gain ?? 0)) return;
      if (!free && spread !== ANY && (gap <= spread || gain < GAIN_SHARE * piece.weight)) return;
      best = { piece, from, to, gain };
    };
    for (const piece of from.pieces) {
      const { all, hungry } = targetsOf(piece.partition.topic);
      // To somebody who came with nothing, home again, or not kept by anybody: such moves disturb nobody's work.
      consider(piece, hungry, true);
      consider(piece, all, piece.keeper === undefined);
      if (piece.keeper !== from) consider(piece, piece.keeper, true);
    }
    if (best) return best;
  }
  return undefined;
}

function lightest<P>(hands: readonly Hand<P>[], may: (hand: Hand<P>) => boolean): Hand<P> | undefined {
  let best: Hand<P> | undefined;
  for (const hand of hands) if (may(hand) && (!best || byLightness(hand, best) < 0)) best = hand;
  return best;
}

function mayHave<P extends TopicPartition>({ member }: Hand<P>, { partition }: Piece<P>): boolean {
  return member.topics.has(partition.topic);
}

function give<P>(hand: Hand<P>, piece: Piece<P>): void {
  hand.pieces.add(piece);
  hand.load += piece.weight;
}

function take<P>(hand: Hand<P>, piece: Piece<P>): void {
  hand.pieces.delete(piece);
  hand.load -= piece.weight;
}

function keyOf({ topic, partition }: TopicPartition): string {
  return `${topic}/${partition}`;
}

function byName(a: TopicPartition, b: TopicPartition): number {
  return a.topic === b.topic ? a.partition - b.partition : a.topic < b.topic ? -1 : 1;
}
