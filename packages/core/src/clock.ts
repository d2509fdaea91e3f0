/**
 * Time, passed in. Nothing else in Weir reads the wall clock or sets a timer, so a test can move time by hand
 * (`ManualClock` in @weir/core/testing) and a simulated hour takes a millisecond.
 */

/** Stops a pending `after` or `every`; safe to call twice. */
export type Cancel = () => void;

export interface Clock {
  /** Milliseconds since the Unix epoch. May jump when the machine's clock is set; for stamps that leave the process. */
  now(): number;
  /** Milliseconds since some fixed point, never going back; for measuring durations. */
  monotonic(): number;
  /** Resolves after `ms`; rejects with `signal.reason` when aborted first. */
  sleep(ms: number, signal?: AbortSignal): Promise<void>;
  /** Calls back once after `ms`. The timer does not keep the process alive. */
  after(ms: number, callback: () => void): Cancel;
  /** Calls back every `ms` until cancelled. The timer does not keep the process alive. */
  every(ms: number, callback: () => void): Cancel;
}

/** Node refuses timers above 2^31-1 ms and fires them at once instead: longer waits are cut into pieces. */
const LONGEST_TIMER_MS = 2 ** 31 - 1;

class SystemClock implements Clock {
  now(): number {
    return Date.now();
  }

  monotonic(): number {
    return performance.now();
  }

  sleep(ms: number, signal?: AbortSignal): Promise<void> {
    return new Promise((resolve, reject) => {
      if (signal?.aborted) {
        reject(signal.reason);
        return;
      }
      let timer: NodeJS.Timeout;
      const arm = (left: number) => {
        const step = Math.min(left, LONGEST_TIMER_MS);
        timer = setTimeout(() => (left > step ? arm(left - step) : finish()), step);
      };
      const finish = () => {
        signal?.removeEventListener('abort', aborted);
        resolve();
      };
      const aborted = () => {
        clearTimeout(timer);
        reject(signal?.reason);
      };
      signal?.addEventListener('abort', aborted, { once: true });
      arm(Math.max(0, ms));
    });
  }

  after(ms: number, callback: () => void): Cancel {
    let timer: NodeJS.Timeout;
    const arm = (left: number) => {
      const step = Math.min(left, LONGEST_TIMER_MS);
      timer = setTimeout(() => (left > step ? arm(left - step) : callback()), step).unref();
    };
    arm(Math.max(0, ms));
    return () => clearTimeout(timer);
  }

  every(ms: number, callback: () => void): Cancel {
    const timer = setInterval(callback, ms).unref();
    return () => clearInterval(timer);
  }
}

/** The machine's own clock. */
export const systemClock: Clock = new SystemClock();
