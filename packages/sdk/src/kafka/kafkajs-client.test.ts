import { type Logger, silentLogger } from '@weir/core';
import kafkajs, { type Kafka, type KafkaConfig, type LogEntry } from 'kafkajs';
import { describe, expect, test } from 'vitest';
import type { KafkaSettings } from '../config.ts';
import { createClient, errorType, type KafkaClass } from './kafkajs-client.ts';
import { SETTINGS } from './settings.fixture.ts';

/** The configuration that a client class is made with. */
function configOf(settings: KafkaSettings, log: Logger = silentLogger): KafkaConfig {
  let given: KafkaConfig | undefined;
  class Spy {
    constructor(config: KafkaConfig) {
      given = config;
    }
  }
  createClient({ settings, log, retries: 3, Kafka: Spy as unknown as KafkaClass & (new () => Kafka) });
  if (!given) throw new Error('no client was made');
  return given;
}

describe('createClient', () => {
  test('TLS and SASL are what the settings say', () => {
    expect(configOf(SETTINGS)).not.toHaveProperty('ssl');
    expect(configOf({ ...SETTINGS, ssl: true }).ssl).toBe(true);
    const sasl = { mechanism: 'scram-sha-512', username: 'u', password: 'p' } as const;
    const config = configOf({ ...SETTINGS, ssl: { ca: 'CA', cert: 'CERT', key: 'KEY' }, sasl });
    expect(config.ssl).toEqual({ ca: ['CA'], cert: 'CERT', key: 'KEY' });
    expect(config.sasl).toEqual(sasl);
  });

  test('kafkajs’s routine complaints are debug lines, what it does not usually say is a warning', () => {
    const lines: [string, string | undefined][] = [];
    const keep = (level: string) => (_fields: object, message?: string) => void lines.push([level, message]);
    const log: Logger = {
      debug: keep('debug'),
      info: keep('info'),
      warn: keep('warn'),
      error: keep('error'),
      child: () => log,
    };
    const write = configOf(SETTINGS, log).logCreator?.(kafkajs.logLevel.WARN);
    const entry = (level: number, message: string): LogEntry => ({
      namespace: 'Runner',
      level,
      label: '',
      log: { timestamp: '', message, logger: 'kafkajs', groupId: 'g' },
    });
    write?.(entry(kafkajs.logLevel.WARN, 'The group is rebalancing, re-joining'));
    write?.(entry(kafkajs.logLevel.ERROR, 'Connection error: connect ECONNREFUSED 127.0.0.1:1'));
    write?.(entry(kafkajs.logLevel.ERROR, 'Something nobody has seen before'));
    expect(lines).toEqual([
      ['debug', 'kafkajs: The group is rebalancing, re-joining'],
      ['debug', 'kafkajs: Connection error: connect ECONNREFUSED 127.0.0.1:1'],
      ['warn', 'kafkajs: Something nobody has seen before'],
    ]);
  });
});

describe('errorType', () => {
  test('finds the protocol’s name through what wraps it', () => {
    const inner = Object.assign(new Error('x'), { type: 'ILLEGAL_GENERATION' });
    expect(errorType(inner)).toBe('ILLEGAL_GENERATION');
    expect(errorType(new Error('outer', { cause: new Error('middle', { cause: inner }) }))).toBe('ILLEGAL_GENERATION');
    expect(errorType(Object.assign(new Error('retries'), { originalError: inner }))).toBe('ILLEGAL_GENERATION');
    expect(errorType(Object.assign(new Error('x'), { type: 'system' }))).toBeUndefined();
    expect(errorType(undefined)).toBeUndefined();
  });
});
