/** Waiting until nothing is at work: drains and joins do. Whoever ends something tells it. */
export class Quiet {
  readonly #waiting = new Set<() => void>();

  /** Something ended: whoever waits looks again. */
  told(): void {
    for (const look of this.#waiting) look();
  }

  /** Resolves when the condition holds, or when the signal aborts. */
  until(condition: () => boolean, signal: AbortSignal): Promise<void> {
    if (condition() || signal.aborted) return Promise.resolve();
    return new Promise((resolve) => {
      const over = () => {
        this.#waiting.delete(look);
        signal.removeEventListener('abort', over);
        resolve();
      };
      const look = () => {
        if (condition()) over();
      };
      this.#waiting.add(look);
      signal.addEventListener('abort', over, { once: true });
    });
  }
}
