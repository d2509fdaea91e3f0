import type { Commit } from './history.ts';

/** Of partition 0 of `in`, stored. */
export function commit(offset: number, at: number, more: Partial<Commit> = {}): Commit {
  return {
    group: 'g',
    memberId: 'm',
    generation: 1,
    topic: 'in',
    partition: 0,
    offset,
    ahead: [],
    writer: 'w1',
    left: false,
    suspects: '',
    stored: true,
    at,
    ...more,
  };
}
