/** What a field of a settings schema says about itself, beside its type. */
import { ZodDefault, ZodOptional, ZodPipe, type ZodType } from 'zod';

export interface SettingMeta {
  readonly description?: string;
  /** In Markdown, where the schema's own default does not say it. */
  readonly default?: string;
  readonly allowed?: string;
  readonly secret?: boolean;
}

/** Gathered from the field and from what it wraps (default, optional, preprocess, transform); the outermost says. */
export function metaOf(field: ZodType | undefined): SettingMeta {
  if (field === undefined) return {};
  const inside: SettingMeta = Object.assign({}, ...wrapped(field).map((each) => metaOf(each as ZodType)));
  return { ...inside, ...(field.meta() as SettingMeta | undefined) };
}

function wrapped(field: ZodType): readonly unknown[] {
  if (field instanceof ZodOptional || field instanceof ZodDefault) return [field.unwrap()];
  return field instanceof ZodPipe ? [field.in, field.out] : [];
}
