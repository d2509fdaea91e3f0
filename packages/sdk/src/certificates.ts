/**
 * KAFKA_SSL_CA, KAFKA_SSL_CERT and KAFKA_SSL_KEY may hold PEM text or the path of a file. `resolve` reads no files, so
 * whoever connects (a worker's process, the scaler, the CLI) comes through here first.
 */
import { readFileSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import { describeError } from '@weir/core';
import type { KafkaSettings } from './config.ts';
import { ConfigError, type ConfigProblem } from './errors.ts';

const VARIABLES = { ca: 'KAFKA_SSL_CA', cert: 'KAFKA_SSL_CERT', key: 'KAFKA_SSL_KEY' } as const;

/**
 * The settings with PEM texts in place of paths.
 * @throws ConfigError when a file cannot be read or holds no PEM text; every such file at once
 */
export function withCertificates(settings: KafkaSettings): KafkaSettings {
  if (typeof settings.ssl === 'boolean') return settings;
  const problems: ConfigProblem[] = [];
  const ssl: { ca?: string; cert?: string; key?: string } = {};
  for (const [part, variable] of Object.entries(VARIABLES) as [keyof typeof VARIABLES, string][]) {
    const given = settings.ssl[part];
    if (given === undefined) continue;
    if (given.includes('-----BEGIN ')) {
      // Some ways of setting a variable leave the line ends as the two characters \n.
      ssl[part] = given.replaceAll('\\n', '\n');
      continue;
    }
    try {
      const text = readFileSync(given.startsWith('file:') ? fileURLToPath(given) : given, 'utf8');
      if (!text.includes('-----BEGIN ')) problems.push({ variable, given, message: 'this file holds no PEM text' });
      ssl[part] = text;
    } catch (error) {
      problems.push({ variable, given, message: `cannot be read: ${describeError(error)}` });
    }
  }
  if (problems.length > 0) throw new ConfigError(problems);
  return { ...settings, ssl };
}
