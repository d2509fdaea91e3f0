import { ManualClock, settle } from '@weir/core/testing';
import { describe, expect, test } from 'vitest';
import { DependencyDownError, RetryableError } from '../errors.ts';
import { Dependencies, type DependenciesOptions, type DependencyMoved } from './dependencies.ts';

const never = new AbortController().signal;
const failing = () => Promise.reject(new RetryableError('503'));
const fine = () => Promise.resolve('fine');

function world(over: Partial<DependenciesOptions> = {}) {
  const clock = new ManualClock();
  const dependencies = new Dependencies({
    dependencies: {
      store: { keyed: false, timeoutMs: 1_000, concurrency: undefined },
      hosts: { keyed: true, timeoutMs: 60_000, concurrency: 2 },
    },
    concurrency: 100,
    isTransient: (error) => error instanceof RetryableError,
    clock,
    ...over,
  });
  const moves: DependencyMoved[] = [];
  dependencies.on('dependency:moved', (move) => moves.push(move));
  const store = (work: (signal: AbortSignal) => Promise<unknown>, outer = never) =>
    dependencies.call('store', undefined, work, outer);
  const host = (key: string, work: (signal: AbortSignal) => Promise<unknown>, outer = never) =>
    dependencies.call('hosts', key, work, outer);
  const times = async (count: number, call: () => Promise<unknown>) => {
    for (let at = 0; at < count; at++) await call().catch(() => undefined);
  };
  return { clock, dependencies, moves, store, host, times };
}

/** Work that ends when told. */
function held() {
  const ends: { resolve: (value: string) => void; reject: (error: unknown) => void }[] = [];
  const work = () => new Promise<string>((resolve, reject) => void ends.push({ resolve, reject }));
  return { ends, work };
}

describe('Breaker of a dependency', () => {
  test('opens at half of ten failed calls, not before', async () => {
    const { dependencies, store, times, moves } = world();
    await times(5, () => store(fine));
    await times(4, () => store(failing));
    expect(dependencies.state('store')).toBe('closed');
    await times(1, () => store(failing));
    expect(dependencies.state('store')).toBe('open');
    expect(moves).toMatchObject([{ dependency: 'store', key: undefined, from: 'closed', to: 'open' }]);
    expect(dependencies.openPlain()).toEqual(['store']);
  });

  test('nine failures in a row are too few to open it', async () => {
    const { dependencies, store, times } = world();
    await times(9, () => store(failing));
    expect(dependencies.isOpen('store')).toBe(false);
  });

  test('failures spread over more than ten seconds do not open it', async () => {
    const { clock, dependencies, store, times } = world();
    for (let at = 0; at < 4; at++) {
      await times(9, () => store(failing));
      await clock.advance(11_000);
    }
    expect(dependencies.isOpen('store')).toBe(false);
  });

  test('while it is open nothing is called', async () => {
    const { store, times } = world();
    await times(10, () => store(failing));
    let called = false;
    const call = store(() => {
      called = true;
      return fine();
    });
    await expect(call).rejects.toThrow(DependencyDownError);
    await expect(call).rejects.toMatchObject({ dependency: 'store', key: undefined });
    expect(called).toBe(false);
  });

  test('what is refused for good counts as an answer', async () => {
    const { dependencies, store, times } = world();
    await times(30, () => store(() => Promise.reject(new Error('404'))));
    expect(dependencies.isOpen('store')).toBe(false);
  });

  test('work that throws before its first await counts like any other', async () => {
    const { dependencies, store, times } = world();
    await times(10, () =>
      store(() => {
        throw new RetryableError('refused at once');
      }),
    );
    expect(dependencies.isOpen('store')).toBe(true);
  });

  test('a hanging dependency opens it although its timeout is longer than the window', async () => {
    const { clock, dependencies } = world({
      dependencies: { slow: { keyed: false, timeoutMs: 60_000, concurrency: undefined } },
    });
    const calls = Array.from({ length: 10 }, () =>
      dependencies.call('slow', undefined, () => new Promise(() => undefined), never).catch((error) => error),
    );
    await clock.advance(60_000);
    for (const error of await Promise.all(calls)) expect(error).toBeInstanceOf(RetryableError);
    expect(dependencies.isOpen('slow')).toBe(true);
  });

  test('after the cool-down one call is tried; its success closes the breaker', async () => {
    const { clock, dependencies, store, times, moves } = world();
    await times(10, () => store(failing));
    await clock.advance(29_999);
    expect(dependencies.state('store')).toBe('open');
    await clock.advance(1);
    expect(dependencies.state('store')).toBe('half-open');
    const { ends, work } = held();
    const probe = store(work);
    await expect(store(fine)).rejects.toThrow(DependencyDownError);
    ends[0]?.resolve('back');
    await expect(probe).resolves.toBe('back');
    await settle();
    expect(dependencies.state('store')).toBe('closed');
    expect(moves.map((move) => move.to)).toEqual(['open', 'half-open', 'closed']);
    await expect(store(fine)).resolves.toBe('fine');
  });

  test('a failed probe opens it for another cool-down', async () => {
    const { clock, dependencies, store, times } = world();
    await times(10, () => store(failing));
    for (let round = 0; round < 3; round++) {
      await clock.advance(30_000);
      expect(dependencies.state('store')).toBe('half-open');
      await expect(store(failing)).rejects.toThrow('503');
      expect(dependencies.state('store')).toBe('open');
    }
  });

  test('a probe that the outside aborted makes way for another', async () => {
    const { clock, dependencies, store, times } = world();
    await times(10, () => store(failing));
    await clock.advance(30_000);
    const outer = new AbortController();
    const probe = store(() => new Promise(() => undefined), outer.signal);
    await settle();
    outer.abort(new Error('partition lost'));
    await expect(probe).rejects.toThrow('partition lost');
    expect(dependencies.state('store')).toBe('half-open');
    await expect(store(fine)).resolves.toBe('fine');
    await settle();
    expect(dependencies.state('store')).toBe('closed');
  });

  test('old failures are forgotten once it has closed', async () => {
    const { clock, dependencies, store, times } = world({
      breaker: { minCalls: 10, windowMs: 10_000, failureShare: 0.5, coolDownMs: 100 },
    });
    await times(10, () => store(failing));
    await clock.advance(100);
    await store(fine);
    await settle();
    await times(5, () => store(failing));
    expect(dependencies.state('store')).toBe('closed');
  });

  test('a call from before the outage neither fails nor passes the probe', async () => {
    const { clock, dependencies, store, times } = world({
      dependencies: { store: { keyed: false, timeoutMs: 600_000, concurrency: undefined } },
    });
    const { ends, work } = held();
    const early = [store(work), store(work)];
    await settle();
    await times(10, () => store(failing));
    await clock.advance(30_000);
    ends[0]?.resolve('late');
    ends[1]?.reject(new RetryableError('late'));
    await Promise.allSettled(early);
    await settle();
    expect(dependencies.state('store')).toBe('half-open');
  });

  test('aborts from outside count as nothing', async () => {
    const { dependencies, store, times } = world();
    await times(30, () => {
      const outer = new AbortController();
      const call = store((signal) => {
        outer.abort(new Error('drain'));
        return Promise.reject(new RetryableError(`reset: ${signal.aborted}`));
      }, outer.signal);
      return call;
    });
    expect(dependencies.isOpen('store')).toBe(false);
  });

  test('the window is the settings’, and so is the number of calls', async () => {
    const { dependencies, store, times } = world({
      breaker: { minCalls: 2, windowMs: 1_000, failureShare: 1, coolDownMs: 10 },
    });
    await times(2, () => store(failing));
    expect(dependencies.isOpen('store')).toBe(true);
  });
});

describe('Call', () => {
  test('a timeout aborts the signal and is a retryable error that names the dependency', async () => {
    const { clock, store, host } = world();
    const seen: AbortSignal[] = [];
    const call = store((signal) => {
      seen.push(signal);
      return new Promise((_, reject) => signal.addEventListener('abort', () => reject(new Error('AbortError'))));
    }).catch((error) => error);
    const keyed = host('a.example', () => new Promise(() => undefined)).catch((error) => error);
    await clock.advance(1_000);
    expect(seen[0]?.aborted).toBe(true);
    expect(await call).toBeInstanceOf(RetryableError);
    expect(String(await call)).toContain('"store" did not answer within 1000 ms');
    await clock.advance(59_000);
    expect(String(await keyed)).toContain('"hosts" (a.example) did not answer within 60000 ms');
  });

  test('a timeout counts against the dependency, however errors are classified', async () => {
    const { clock, dependencies, store } = world({ isTransient: () => false });
    const calls = Array.from({ length: 10 }, () => store(() => new Promise(() => undefined)).catch(() => undefined));
    await clock.advance(1_000);
    await Promise.all(calls);
    expect(dependencies.isOpen('store')).toBe(true);
  });

  test('an abort from outside rejects with its reason, also when the work ignores it', async () => {
    const { store } = world();
    const outer = new AbortController();
    const call = store(() => new Promise(() => undefined), outer.signal);
    await settle();
    outer.abort(new Error('drain'));
    await expect(call).rejects.toThrow('drain');
    await expect(store(fine, outer.signal)).rejects.toThrow('drain');
  });

  test('tells where a transient failure came from', async () => {
    const { dependencies, host } = world();
    const error = new RetryableError('503');
    await host('a.example', () => Promise.reject(error)).catch(() => undefined);
    expect(dependencies.originOf(error)).toEqual({ dependency: 'hosts', key: 'a.example' });
    expect(dependencies.originOf(new Error('other'))).toBeUndefined();
    expect(dependencies.originOf('text')).toBeUndefined();
  });

  test('a dependency that was not declared, or a key where none belongs, is a mistake of the caller', async () => {
    const { dependencies } = world();
    await expect(dependencies.call('nobody', undefined, fine, never)).rejects.toThrow(TypeError);
    await expect(dependencies.call('store', 'key', fine, never)).rejects.toThrow('has no keys');
    await expect(dependencies.call('hosts', undefined, fine, never)).rejects.toThrow('a key is needed');
  });
});

describe('Bulkhead', () => {
  test('each key has its own; what is beyond waits', async () => {
    const { dependencies, host } = world();
    const { ends, work } = held();
    const calls = [host('a', work), host('a', work), host('a', work), host('b', work)];
    await settle();
    expect(ends.length).toBe(3);
    expect(dependencies.snapshot()).toMatchObject([
      { dependency: 'store', inflight: 0 },
      { dependency: 'hosts', state: 'closed', inflight: 3, waiting: 1 },
    ]);
    ends[0]?.resolve('done');
    await settle();
    expect(ends.length).toBe(4);
    for (const end of ends) end.resolve('done');
    await Promise.all(calls);
  });

  test('follows the worker’s concurrency when it has no number of its own', async () => {
    const { dependencies, store, host } = world({ concurrency: 1 });
    const { ends, work } = held();
    const calls = [store(work), store(work), store(work), host('a', work), host('a', work), host('a', work)];
    await settle();
    expect(ends.length).toBe(3);
    dependencies.concurrency = 2;
    await settle();
    expect(ends.length).toBe(4);
    for (let round = 0; round < 3; round++) {
      for (const end of ends) end.resolve('done');
      await settle();
    }
    await Promise.all(calls);
  });

  test('waiting for a place is not the dependency’s time', async () => {
    const { clock, dependencies } = world({
      dependencies: { store: { keyed: false, timeoutMs: 1_000, concurrency: 1 } },
    });
    const { ends, work } = held();
    const first = dependencies.call('store', undefined, work, never);
    const second = dependencies.call('store', undefined, work, never);
    await clock.advance(900);
    ends[0]?.resolve('one');
    await clock.advance(900);
    ends[1]?.resolve('two');
    expect(await Promise.all([first, second])).toEqual(['one', 'two']);
  });

  test('what waits when the breaker opens is refused, without being called', async () => {
    const { dependencies } = world({
      dependencies: { store: { keyed: false, timeoutMs: 1_000, concurrency: 10 } },
    });
    const { ends, work } = held();
    const calls = Array.from({ length: 25 }, () =>
      dependencies.call('store', undefined, work, never).catch((error) => error),
    );
    await settle();
    for (const end of ends.slice()) end.reject(new RetryableError('503'));
    const errors = await Promise.all(calls);
    expect(errors.filter((error) => error instanceof RetryableError).length).toBe(10);
    expect(errors.filter((error) => error instanceof DependencyDownError).length).toBe(15);
    expect(ends.length).toBe(10);
  });

  test('a caller that gives up while it waits leaves at once, and its work is never called', async () => {
    const { host } = world();
    const { ends, work } = held();
    const calls = [host('a', work), host('a', work)];
    const outer = new AbortController();
    let called = false;
    const waiting = host(
      'a',
      () => {
        called = true;
        return fine();
      },
      outer.signal,
    );
    await settle();
    outer.abort(new Error('lost'));
    await expect(waiting).rejects.toThrow('lost');
    for (const end of ends) end.resolve('done');
    await Promise.all(calls);
    await settle();
    expect(called).toBe(false);
  });
});

describe('Keys', () => {
  test('one host that is down does not stop another', async () => {
    const { dependencies, host, times } = world();
    await times(10, () => host('down.example', failing));
    expect(dependencies.isOpen('hosts', 'down.example')).toBe(true);
    expect(dependencies.openPlain()).toEqual([]);
    await expect(host('up.example', fine)).resolves.toBe('fine');
    expect(dependencies.snapshot()[1]).toMatchObject({ state: 'open', openKeys: ['down.example'] });
  });

  test('a key that nobody used for ten minutes is forgotten, and whoever waits for it hears of it', async () => {
    const { clock, dependencies, host, times, moves } = world();
    await times(10, () => host('down.example', failing));
    await host('up.example', fine);
    await clock.advance(660_000);
    expect(dependencies.state('hosts', 'down.example')).toBe('closed');
    expect(moves.map(({ key, to }) => `${key} ${to}`)).toEqual([
      'down.example open',
      'down.example half-open',
      'down.example closed',
    ]);
    await expect(host('down.example', fine)).resolves.toBe('fine');
  });

  test('are bounded: the longest unused makes room, but never one whose breaker is open', async () => {
    const { dependencies, host, times } = world();
    await times(10, () => host('down.example', failing));
    for (let at = 0; at < 10_010; at++) await host(`host-${at}.example`, fine);
    expect(dependencies.snapshot()[1]).toMatchObject({ keys: 10_000, openKeys: ['down.example'] });
  });

  test('a key with a call under way is kept', async () => {
    const { clock, dependencies } = world({
      dependencies: { hosts: { keyed: true, timeoutMs: 3_600_000, concurrency: 1 } },
    });
    const { ends, work } = held();
    const call = dependencies.call('hosts', 'a', work, never);
    await clock.advance(1_200_000);
    expect(dependencies.snapshot()[0]).toMatchObject({ inflight: 1 });
    ends[0]?.resolve('done');
    await call;
  });
});

test('stop ends every timer, early and twice', async () => {
  const { clock, dependencies, store, host, times } = world();
  dependencies.stop();
  dependencies.stop();
  const second = world();
  await second.times(10, () => second.store(failing));
  await times(10, () => host('a', failing));
  await times(10, () => store(failing));
  second.dependencies.stop();
  second.dependencies.stop();
  expect(second.clock.pending).toBe(0);
  await clock.advance(1);
});
