/** Numbers of seven bits a byte, lowest first, as what travels in a commit's metadata and in a join's claim writes them. */

/** @param value  a safe integer, 0 or more */
export function writeVarint(into: number[], value: number): void {
  let rest = value;
  while (rest >= 128) {
    into.push((rest % 128) | 0x80);
    rest = Math.floor(rest / 128);
  }
  into.push(rest);
}

/** @returns undefined when the bytes end within a number, or hold one that is no safe integer */
export function readVarints(bytes: Uint8Array): number[] | undefined {
  const numbers: number[] = [];
  let value = 0;
  let scale = 1;
  for (const byte of bytes) {
    value += (byte & 0x7f) * scale;
    scale *= 128;
    if (byte >= 0x80) continue;
    if (!Number.isSafeInteger(value)) return undefined;
    numbers.push(value);
    value = 0;
    scale = 1;
  }
  return scale === 1 ? numbers : undefined;
}
