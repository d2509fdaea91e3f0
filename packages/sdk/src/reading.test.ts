import { describe, expect, test } from 'vitest';
import { z } from 'zod';
import { ConfigError } from './errors.ts';
import { type Environment, Reading } from './reading.ts';

function problemsOf(env: Environment, schema: z.ZodObject) {
  const read = new Reading(env);
  const value = read.parseOwn(schema);
  try {
    read.throwProblems();
  } catch (error) {
    return { value, problems: (error as ConfigError).problems };
  }
  return { value, problems: [] };
}

describe('Reading', () => {
  test('a required setting that is not set is explained by its description', () => {
    const { problems } = problemsOf({ A: ' ' }, z.object({ A: z.string().describe('The first.') }));
    expect(problems).toEqual([{ variable: 'A', given: undefined, message: 'is required: The first.' }]);
  });

  test('a union that nothing fits is explained by its description', () => {
    const flag = z.union([z.boolean(), z.enum(['yes', 'no'])]).describe('yes or no.');
    const { problems } = problemsOf({ A: 'maybe' }, z.object({ A: flag }));
    expect(problems).toEqual([{ variable: 'A', given: 'maybe', message: 'cannot be used: yes or no.' }]);
  });

  test('what follows from a problem of the same variable is not reported again', () => {
    const read = new Reading({ A: '1' });
    read.problem('A', 'the cause');
    read.problem('A', 'a consequence');
    read.problem('B', 'another');
    expect(() => read.throwProblems()).toThrow(ConfigError);
    expect(() => read.throwProblems()).toThrow(/2 setting\(s\)[\s\S]*A: the cause[\s\S]*B: another/);
  });

  test('a rule between settings names them', () => {
    const schema = z
      .object({ LOW: z.coerce.number(), HIGH: z.coerce.number() })
      .refine(({ LOW, HIGH }) => LOW < HIGH, { error: 'LOW must be below HIGH' });
    const { value, problems } = problemsOf({ LOW: '5', HIGH: '3' }, schema);
    expect(value).toBeUndefined();
    expect(problems).toEqual([{ variable: 'LOW, HIGH', given: undefined, message: 'LOW must be below HIGH' }]);
  });

  test.each([
    'DB_PASSWORD',
    'API_TOKEN',
    'AWS_SECRET_ACCESS_KEY',
    'AWS_ACCESS_KEY_ID',
    'MY_CREDENTIALS',
    'KEY',
  ])('the value of %s is hidden, by its name', (variable) => {
    const { problems } = problemsOf({ [variable]: 'hunter2' }, z.object({ [variable]: z.string().min(100) }));
    expect(problems[0]?.given).toBe('[hidden]');
  });

  test('a long value is cut', () => {
    const { problems } = problemsOf({ A: 'x'.repeat(5_000) }, z.object({ A: z.string().max(10) }));
    expect(problems[0]?.given?.length).toBeLessThan(250);
  });
});
