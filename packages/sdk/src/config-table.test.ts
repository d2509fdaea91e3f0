import { describe, expect, test } from 'vitest';
import { z } from 'zod';
import { configMarkdown, configTable } from './config-table.ts';
import { kafkaSettings, processSettings, workerSettings } from './settings.ts';

describe('configTable', () => {
  test('says what a schema allows and what it defaults to', () => {
    const schema = z.object({
      STORE_URL: z.string().describe('Where files go.'),
      PORT: z.coerce.number().int().min(1).max(9).default(3).describe('A | port.'),
      SIZE: z.coerce.number().min(1).optional().describe('Size.'),
      MODE: z.enum(['a', 'b']).default('a').describe('Mode.'),
    });
    expect(configTable(schema)).toEqual([
      { variable: 'STORE_URL', meaning: 'Where files go.', allowed: 'text', standard: 'required', secret: false },
      { variable: 'PORT', meaning: 'A | port.', allowed: '1 to 9', standard: '`3`', secret: false },
      { variable: 'SIZE', meaning: 'Size.', allowed: '1 or more', standard: 'none', secret: false },
      { variable: 'MODE', meaning: 'Mode.', allowed: 'a, b', standard: '`a`', secret: false },
    ]);
    expect(configMarkdown(configTable(schema))).toContain('| `PORT` | A \\| port. | 1 to 9 | `3` |');
  });

  test('looks through what wraps a field', () => {
    const wrapped = z.preprocess((value) => value, z.string().transform(Number).describe('Inside.').optional());
    const schema = z.object({
      A: wrapped,
      B: wrapped.describe('Outside.'),
      C: z.string().meta({ secret: true }).optional(),
    });
    expect(configTable(schema).map(({ meaning, secret }) => ({ meaning, secret }))).toEqual([
      { meaning: 'Inside.', secret: false },
      { meaning: 'Outside.', secret: false },
      { meaning: '', secret: true },
    ]);
  });

  test('every setting of the SDK says what it means', () => {
    for (const schema of [kafkaSettings, processSettings, workerSettings])
      for (const row of configTable(schema)) expect(row.meaning.length, row.variable).toBeGreaterThan(20);
  });
});
