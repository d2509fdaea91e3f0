/** Identifiers from the passed-in chance, so that a seeded broker hands out the same ones again. */
import type { Random } from '@weir/core';

/** A random UUID (version 4) as 32 hexadecimal digits. */
export function randomId(random: Random): string {
  const bytes = Buffer.alloc(16);
  for (let index = 0; index < 16; index++) bytes[index] = random.below(256);
  bytes[6] = (bytes[6]! & 0x0f) | 0x40;
  bytes[8] = (bytes[8]! & 0x3f) | 0x80;
  return bytes.toString('hex');
}

/** The usual writing, with dashes. */
export function dashed(id: string): string {
  return `${id.slice(0, 8)}-${id.slice(8, 12)}-${id.slice(12, 16)}-${id.slice(16, 20)}-${id.slice(20)}`;
}

/** A stable number for a name: which node coordinates a group, where a topic's leaders begin. */
export function hashName(name: string): number {
  let hash = 0;
  for (let index = 0; index < name.length; index++) hash = (Math.imul(hash, 31) + name.charCodeAt(index)) | 0;
  return hash & 0x7fff_ffff;
}
