/**
 * `--kill N`: kills N workers without warning, spread over the run: number k when k of N + 1 parts of the attachments
 * are done. Kills that could not be made in time (nobody was ready) are made up for before the run may end.
 */
export class Killer {
  readonly #kills: number;
  readonly #kill: () => { worker: string; number: number } | undefined;
  readonly #said: (text: string) => void;
  #done = 0;

  constructor(options: {
    kills: number;
    kill: () => { worker: string; number: number } | undefined;
    said: (text: string) => void;
  }) {
    this.#kills = options.kills;
    this.#kill = options.kill;
    this.#said = options.said;
  }

  get done(): number {
    return this.#done;
  }

  get over(): boolean {
    return this.#done >= this.#kills;
  }

  /** @param share  of the work that is done, 0 to 1 */
  consider(share: number): void {
    if (this.over || share < (this.#done + 1) / (this.#kills + 1)) return;
    const killed = this.#kill();
    if (!killed) return;
    this.#done++;
    this.#said(`kill -9 ${killed.worker} number ${killed.number}`);
  }
}
