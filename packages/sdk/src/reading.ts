/**
 * One pass over an environment: what was asked for, what was wrong with it. Problems are gathered, never thrown at the
 * first, and shown without secrets.
 */
import { redactText, redactUrl } from '@weir/core';
import type { ZodObject, ZodType, z } from 'zod';
import { ConfigError, type ConfigProblem } from './errors.ts';
import { unknownNames } from './nearest.ts';
import { metaOf } from './setting-meta.ts';

/** Variables as a process has them. */
export type Environment = Readonly<Record<string, string | undefined>>;

export class Reading {
  readonly #env: Environment;
  readonly #problems: ConfigProblem[] = [];
  readonly #warnings: string[] = [];
  readonly #secret = new Set<string>();

  constructor(env: Environment) {
    this.#env = env;
  }

  /** The text of a variable; undefined when it is not set or blank. */
  given(name: string): string | undefined {
    const text = this.#env[name]?.trim();
    return text === '' ? undefined : text;
  }

  /**
   * For settings of the SDK, none of which is required. One that is wrong is noted and counts as not set, so that the
   * rules between settings can still be checked.
   */
  parse<S extends ZodObject>(schema: S): z.output<S> {
    return this.#parse(schema) ?? schema.parse({});
  }

  /** For settings of a service; undefined when they cannot be used, which is noted. */
  parseOwn<S extends ZodObject>(schema: S): z.output<S> | undefined {
    return this.#parse(schema);
  }

  #parse<S extends ZodObject>(schema: S): z.output<S> | undefined {
    const texts: Record<string, string> = {};
    for (const [name, field] of Object.entries(schema.shape)) {
      const text = this.given(name);
      if (text !== undefined) texts[name] = text;
      if (metaOf(field as ZodType).secret === true) this.#secret.add(name);
    }
    const parsed = schema.safeParse(texts);
    if (parsed.success) return parsed.data;
    for (const issue of parsed.error.issues) {
      const variable = issue.path.length > 0 ? String(issue.path[0]) : Object.keys(schema.shape).join(', ');
      const about = metaOf(schema.shape[variable] as ZodType | undefined).description;
      const missing = issue.path.length > 0 && texts[variable] === undefined;
      const reason = about ? `: ${about}` : '';
      // What zod says of a union tells nobody anything.
      const vague = issue.message === 'Invalid input';
      this.problem(variable, missing ? `is required${reason}` : vague ? `cannot be used${reason}` : issue.message);
      delete texts[variable];
    }
    const rest = schema.safeParse(texts);
    return rest.success ? rest.data : undefined;
  }

  /** The first problem of a variable is its cause; what follows from it is not worth a line. */
  problem(variable: string, message: string): void {
    if (this.#problems.some((each) => each.variable === variable)) return;
    const given = this.given(variable);
    this.#problems.push({ variable, given: given === undefined ? undefined : this.#shown(variable, given), message });
  }

  warn(line: string): void {
    this.#warnings.push(line);
  }

  warnings(known: Iterable<string>): readonly string[] {
    return [...this.#warnings, ...unknownNames(this.#env, new Set(known))];
  }

  /** @throws ConfigError when there was any problem */
  throwProblems(): void {
    if (this.#problems.length > 0) throw new ConfigError(this.#problems);
  }

  #shown(variable: string, given: string): string {
    if (this.#secret.has(variable) || /PASSWORD|SECRET|TOKEN|CREDENTIAL|(^|_)KEY(_ID)?$/.test(variable))
      return '[hidden]';
    const text = /^[a-z][a-z0-9+.-]*:\/\//i.test(given) ? redactUrl(given) : redactText(given);
    return text.length > 200 ? `${text.slice(0, 200)}…` : text;
  }
}
