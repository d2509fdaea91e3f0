/**
 * A lower bound for "how many workers at least?": no way of dealing can do with fewer, so the search for the number that
 * fits starts here and a thousand partitions cost a handful of trials. It is Martello and Toth's bound for bin packing.
 * For a threshold t, what is heavier than `capacity - t` needs a worker of its own; what is heavier than half of the
 * capacity can never share with another such; what is between t and a half fills the room beside the latter first.
 */

/**
 * @param weights   of the things to be dealt; none negative. One heavier than the capacity counts as just filling it
 * @param capacity  of one worker, in the same unit; above 0
 */
export function leastWorkers(weights: readonly number[], capacity: number): number {
  if (!(capacity > 0) || !Number.isFinite(capacity)) return 0;
  const falling = Float64Array.from(weights, (weight) => Math.min(weight, capacity))
    .sort()
    .reverse();
  const sums = new Float64Array(falling.length + 1);
  for (let at = 0; at < falling.length; at++) sums[at + 1] = sums[at]! + falling[at]!;
  const half = countAbove(falling, capacity / 2);
  let most = Math.max(half, wholeAbove(sums[falling.length]! / capacity));
  // Thresholds that matter are the weights up to a half, going up: fewer and fewer things fill, more and more are alone.
  let alone = 0;
  for (let last = falling.length - 1; last >= half; last--) {
    const threshold = falling[last]!;
    while (alone < half && falling[alone]! > capacity - threshold) alone++;
    const room = (half - alone) * capacity - (sums[half]! - sums[alone]!);
    const rest = sums[last + 1]! - sums[half]! - room;
    most = Math.max(most, half + Math.max(0, wholeAbove(rest / capacity)));
  }
  return most;
}

/** Sums of fractions differ in their last digits: 3.0000000001 is 3. */
function wholeAbove(value: number): number {
  return Math.ceil(value - 1e-9 * Math.max(1, Math.abs(value)));
}

function countAbove(falling: Float64Array, limit: number): number {
  let count = 0;
  while (count < falling.length && falling[count]! > limit * (1 + 1e-9)) count++;
  return count;
}
