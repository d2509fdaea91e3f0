/**
 * Text from outside: trimmed, and blank means missing. One rule for every message, so that `"  "` never becomes a key, a
 * folder or a row of its own.
 */
import { z } from 'zod';

/**
 * Required text: blank is refused as missing. One check that does what `trim`, `min` and a `refine` would: a message has ten
 * of these, is read and written once for every attachment, and zod makes garbage for each check of each.
 */
export const text = z.string().check((field) => {
  const trimmed = field.value.trim();
  field.value = trimmed;
  const message =
    trimmed === '' ? 'missing or blank' : trimmed.isWellFormed() ? undefined : 'has half a surrogate pair';
  if (message !== undefined) field.issues.push({ code: 'custom', message, input: trimmed });
});

/** Optional text: null and blank become undefined. */
export const optionalText = z
  .string()
  .nullable()
  .transform((value) => value?.toWellFormed().trim() || undefined)
  .optional();
