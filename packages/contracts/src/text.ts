/**
 * Text from outside: trimmed, and blank means missing. One rule for every message, so that `"  "` never becomes a key, a
 * folder or a row of its own.
 */
import { z } from 'zod';

/** Required text: blank is refused as missing. */
export const text = z
  .string()
  .trim()
  .min(1, 'missing or blank')
  .refine((value) => value.isWellFormed(), 'has half a surrogate pair');

/** Optional text: null and blank become undefined. */
export const optionalText = z
  .string()
  .nullable()
  .transform((value) => value?.toWellFormed().trim() || undefined)
  .optional();
