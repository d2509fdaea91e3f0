/** Settings as tables for READMEs and docs, generated from the same schemas that check them. */
import { type ZodObject, type ZodType, z } from 'zod';
import { metaOf } from './setting-meta.ts';

/** One row of a table of settings. `meaning`, `allowed` and `standard` are Markdown. */
export interface ConfigRow {
  readonly variable: string;
  readonly meaning: string;
  readonly allowed: string;
  readonly standard: string;
  readonly secret: boolean;
}

/**
 * What a schema of settings says about itself, for READMEs and docs.
 * @param schema  keys are the variables' names; `.describe` says the rest (`.meta({ default, allowed, secret })` helps)
 */
export function configTable(schema: ZodObject): readonly ConfigRow[] {
  return Object.entries(schema.shape).map(([variable, field]) => {
    const meta = metaOf(field as ZodType);
    return {
      variable,
      meaning: meta.description ?? '',
      allowed: meta.allowed ?? allowedBy(field as ZodType),
      standard: meta.default ?? standardOf(field as ZodType),
      secret: meta.secret ?? false,
    };
  });
}

/** The rows as a Markdown table. */
export function configMarkdown(rows: readonly ConfigRow[]): string {
  const cell = (text: string) => text.replace(/\|/g, '\\|');
  return [
    '| Variable | Meaning | Allowed | Default |',
    '| --- | --- | --- | --- |',
    ...rows.map(
      (row) => `| \`${row.variable}\` | ${cell(row.meaning)} | ${cell(row.allowed)} | ${cell(row.standard)} |`,
    ),
  ].join('\n');
}

function standardOf(field: ZodType): string {
  const absent = field.safeParse(undefined);
  if (!absent.success) return 'required';
  const value: unknown = absent.data;
  if (value === undefined || value === '') return 'none';
  return `\`${Array.isArray(value) ? value.join(',') : String(value)}\``;
}

function allowedBy(field: ZodType): string {
  let shape: { type?: string; enum?: unknown[]; minimum?: number; maximum?: number };
  try {
    shape = z.toJSONSchema(field, { unrepresentable: 'any', io: 'output' }) as typeof shape;
  } catch {
    return 'text';
  }
  if (shape.enum) return shape.enum.map(String).join(', ');
  if (shape.type === 'boolean') return 'true, false';
  if (shape.type !== 'integer' && shape.type !== 'number') return 'text';
  const { minimum, maximum } = shape;
  if (minimum !== undefined && maximum !== undefined && maximum < Number.MAX_SAFE_INTEGER)
    return `${minimum} to ${maximum}`;
  return minimum === undefined ? 'a number' : `${minimum} or more`;
}
