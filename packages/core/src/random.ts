/** Chance, passed in: a seed makes every jittered back-off and every made-up record repeatable. */
export interface Random {
  /** A number in [0, 1). */
  next(): number;
  /** A whole number in [0, bound). */
  below(bound: number): number;
}

class SystemRandom implements Random {
  next(): number {
    return Math.random();
  }
  below(bound: number): number {
    return Math.floor(Math.random() * bound);
  }
}

export const systemRandom: Random = new SystemRandom();

/** Mulberry32: 32 bits of state, good enough for tests and made data, never for secrets. */
class SeededRandom implements Random {
  #state: number;
  constructor(seed: number) {
    this.#state = seed >>> 0;
  }
  next(): number {
    this.#state = (this.#state + 0x6d2b79f5) >>> 0;
    let t = this.#state;
    t = Math.imul(t ^ (t >>> 15), t | 1);
    t ^= t + Math.imul(t ^ (t >>> 7), t | 61);
    return ((t ^ (t >>> 14)) >>> 0) / 4294967296;
  }
  below(bound: number): number {
    return Math.floor(this.next() * bound);
  }
}

export function seededRandom(seed: number): Random {
  return new SeededRandom(seed);
}
