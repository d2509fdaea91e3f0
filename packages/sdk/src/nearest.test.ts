import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { editDistance, nearestName, unknownNames } from './nearest.ts';
import { kafkaSettings, processSettings, workerSettings } from './settings.ts';

const KNOWN = [kafkaSettings, processSettings, workerSettings].flatMap((schema) => Object.keys(schema.shape));
const word = fc.string({ maxLength: 12 });

describe('editDistance', () => {
  test('is a metric: zero only for equal texts, symmetric, and no detour is shorter', () => {
    fc.assert(
      fc.property(word, word, word, (a, b, c) => {
        expect(editDistance(a, b) === 0).toBe(a === b);
        expect(editDistance(a, b)).toBe(editDistance(b, a));
        expect(editDistance(a, c)).toBeLessThanOrEqual(editDistance(a, b) + editDistance(b, c));
      }),
    );
  });

  test('lies between the difference of the lengths and the longer length', () => {
    fc.assert(
      fc.property(word, word, (a, b) => {
        expect(editDistance(a, b)).toBeGreaterThanOrEqual(Math.abs(a.length - b.length));
        expect(editDistance(a, b)).toBeLessThanOrEqual(Math.max(a.length, b.length));
      }),
    );
  });
});

describe('nearestName', () => {
  test('finds any setting again after one slip of the finger, or one as near', () => {
    const slip = fc.record({
      name: fc.constantFrom(...KNOWN),
      at: fc.nat(40),
      letter: fc.constantFrom(...'ABCDEFGHIJKLMNOPQRSTUVWXYZ_'),
      kind: fc.constantFrom('drop', 'insert', 'change'),
    });
    fc.assert(
      fc.property(slip, ({ name, at: where, letter, kind }) => {
        const at = where % name.length;
        const slipped =
          name.slice(0, at) + (kind === 'drop' ? '' : letter) + name.slice(kind === 'insert' ? at : at + 1);
        const found = nearestName(slipped, KNOWN);
        expect(found).toBeDefined();
        expect(editDistance(slipped, found!)).toBeLessThanOrEqual(editDistance(slipped, name));
      }),
    );
  });

  test('says nothing when nothing is near', () => {
    expect(nearestName('WEIR_BANANA_SPLIT', KNOWN)).toBeUndefined();
  });
});

describe('unknownNames', () => {
  test('names what was probably meant', () => {
    expect(unknownNames({ WEIR_CONCURENCY: '5', KAFKA_BROKER: 'a:1', WEIR_BANANA_SPLIT: '1' }, new Set(KNOWN))).toEqual(
      [
        'KAFKA_BROKER is not a setting: did you mean KAFKA_BROKERS?',
        'WEIR_BANANA_SPLIT is not a setting of this process: it has no effect',
        'WEIR_CONCURENCY is not a setting: did you mean WEIR_CONCURRENCY?',
      ],
    );
  });

  test('leaves alone what is not ours, and what Kubernetes sets for a Service called kafka', () => {
    const env = {
      PATH: '/bin',
      KAFKA_PORT: 'tcp://10.0.0.1:9092',
      KAFKA_SERVICE_HOST: '10.0.0.1',
      KAFKA_SERVICE_PORT: '9092',
      KAFKA_SERVICE_PORT_CLIENTS: '9092',
      KAFKA_PORT_9092_TCP: 'tcp://10.0.0.1:9092',
      KAFKA_PORT_9092_TCP_ADDR: '10.0.0.1',
      WEIR_SCALER_PORT: 'tcp://10.0.0.2:6000',
      WEIR_SCALER_SERVICE_HOST: '10.0.0.2',
    };
    expect(unknownNames(env, new Set(KNOWN))).toEqual([]);
    expect(unknownNames({ WEIR_METRICS_PORT: '8000' }, new Set(KNOWN))).toHaveLength(1);
  });
});
