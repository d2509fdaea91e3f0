/** Kafka's rules for topic names. */

const LONGEST_NAME = 249;
const LEGAL = /^[a-zA-Z0-9._-]+$/;

/** @returns what is wrong with a name, in words; undefined when nothing is */
export function topicNameProblem(name: string): string | undefined {
  if (name === '') return 'Topic name is invalid: the empty string is not allowed';
  if (name === '.' || name === '..') return `Topic name is invalid: '${name}' is not allowed`;
  if (name.length > LONGEST_NAME) return `Topic name is invalid: longer than ${LONGEST_NAME} characters`;
  if (!LEGAL.test(name)) return `Topic name is invalid: '${name}' has characters other than a-z, A-Z, 0-9, . _ and -`;
  return undefined;
}

/** Names that Kafka takes for the same in its metrics: `a.b` and `a_b`. */
export function collides(a: string, b: string): boolean {
  return a.replaceAll('.', '_') === b.replaceAll('.', '_');
}
