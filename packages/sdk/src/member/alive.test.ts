import { silentLogger } from '@weir/core';
import { ManualClock } from '@weir/core/testing';
import { expect, test } from 'vitest';
import { encodeMetadata } from '../metadata.ts';
import { signalOf } from '../signal.fixture.ts';
import { seenAlive } from './alive.ts';

const AT = 1_767_225_600_000;
const dead = { writer: 'dead', at: AT };
const away = { writer: 'away', at: AT };

function commit(partition: number, writer: string, sentAt: number) {
  const signal = signalOf({ writer, offset: 5, sentAt });
  return { topic: 't', partition, offset: 5, metadata: encodeMetadata(signal, { owner: 'at-work' }) };
}

function ask(committed: () => Promise<readonly ReturnType<typeof commit>[]>) {
  const asked: unknown[] = [];
  const clock = new ManualClock();
  const admin = {
    committed: (group: string, topics: readonly string[]) => {
      asked.push({ group, topics });
      return committed();
    },
  };
  return { asked, at: { admin, group: 'g', topics: ['t'], self: 'self', clock, log: silentLogger } };
}

test('an owner that commits for any partition after its end was away, one that does not is dead', async () => {
  const { at, asked } = ask(async () => [
    commit(0, 'dead', AT - 1),
    commit(1, 'away', AT - 1),
    commit(2, 'away', AT + 1),
    { ...commit(3, 'dead', AT + 1), metadata: 'weir/1 00000000 w=dead' },
  ]);
  expect(await seenAlive([dead, away], at)).toEqual([away]);
  expect(asked).toEqual([{ group: 'g', topics: ['t'] }]);
});

test('who asks is alive', async () => {
  const self = { writer: 'self', at: AT };
  expect(await seenAlive([dead, self], ask(async () => []).at)).toEqual([self]);
});

test('without an answer nobody but who asks is known to be alive', async () => {
  const self = { writer: 'self', at: AT };
  const { at } = ask(async () => {
    throw new Error('no broker');
  });
  expect(await seenAlive([dead, away, self], at)).toEqual([self]);
});

test('an answer that does not come in five seconds is none', async () => {
  const self = { writer: 'self', at: AT };
  const { at } = ask(() => new Promise(() => undefined));
  const seen = seenAlive([dead, self], at);
  await at.clock.advance(5_000);
  expect(await seen).toEqual([self]);
});
