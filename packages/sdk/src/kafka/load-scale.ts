/**
 * How heavy a partition is, as members tell it to the group's leader: one byte, the logarithm of records per second in
 * steps of an eighth of a doubling. Fine enough to balance by, and coarse enough that what only flickers does not look
 * different.
 */
const UNKNOWN = 0;
const NONE = 1;
/** 2^-10 records per second, about three an hour. */
const FIRST = 2;
const LAST = 255;
const LOWEST_EXPONENT = -10;
const STEPS = 8;

export function codeOfLoad(load: number | undefined): number {
  if (load === undefined || !(load >= 0)) return UNKNOWN;
  const code = FIRST + Math.round((Math.log2(load) - LOWEST_EXPONENT) * STEPS);
  return code < FIRST ? NONE : Math.min(code, LAST);
}

export function loadOfCode(code: number): number | undefined {
  if (code === UNKNOWN) return undefined;
  return code === NONE ? 0 : 2 ** ((code - FIRST) / STEPS + LOWEST_EXPONENT);
}

/** What is left of a load after it was told. */
export function roundLoad(load: number): number {
  return loadOfCode(codeOfLoad(load)) ?? 0;
}
