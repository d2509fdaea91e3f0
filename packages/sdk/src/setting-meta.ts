/** What a field of a settings schema says about itself, beside its type. */
import { ZodDefault, ZodOptional, type ZodType } from 'zod';

export interface SettingMeta {
  readonly description?: string;
  /** In Markdown, where the schema's own default does not say it. */
  readonly default?: string;
  readonly allowed?: string;
  readonly secret?: boolean;
}

/** Gathered from the field and from what it wraps; the outermost says. */
export function metaOf(field: ZodType | undefined): SettingMeta {
  let meta: SettingMeta = {};
  for (let at: unknown = field; at !== undefined; at = inner(at))
    meta = { ...((at as ZodType).meta() as SettingMeta), ...meta };
  return meta;
}

function inner(field: unknown): unknown {
  return field instanceof ZodOptional || field instanceof ZodDefault ? field.unwrap() : undefined;
}
