/**
 * A kafkajs class whose network can be broken on purpose, for the adapter's `Kafka` option: faults enter where the
 * adapter's own socket factory ends, so they hit real clients of real brokers. `network.on(apiKey, ...)` sees every
 * request frame before it leaves.
 */
import type { Socket } from 'node:net';
import kafkajs, { type KafkaConfig } from 'kafkajs';

export const API = {
  produce: 0,
  offsetCommit: 8,
  findCoordinator: 10,
  joinGroup: 11,
  heartbeat: 12,
  syncGroup: 14,
} as const;

const CUT_AFTER_MS = 300;

/** `cut`: the connection breaks instead; `cut-after`: the request arrives, its answer does not. */
type Verdict = 'pass' | 'cut' | 'cut-after' | Promise<void>;
type Tap = (frame: Buffer) => Verdict;

export class Network {
  readonly #sockets = new Set<Socket>();
  readonly #taps = new Map<number, Tap>();
  #dark: (() => void)[] | undefined;

  /** Decides for each request of an API; a promise lets it pass when it settles. */
  on(apiKey: number, tap: Tap): void {
    this.#taps.set(apiKey, tap);
  }

  off(apiKey: number): void {
    this.#taps.delete(apiKey);
  }

  /** From now on nothing leaves and nothing arrives, while connections stay open: a frozen process, a lost route. */
  goDark(): void {
    this.#dark = [];
    for (const socket of this.#sockets) socket.pause();
  }

  /** What was held back goes out. */
  goLight(): void {
    const held = this.#dark ?? [];
    this.#dark = undefined;
    for (const write of held) write();
    for (const socket of this.#sockets) socket.resume();
  }

  /** A Kafka class with this network. */
  get Kafka(): new (
    config: KafkaConfig,
  ) => kafkajs.Kafka {
    const join = (socket: Socket) => this.#join(socket);
    return class extends kafkajs.Kafka {
      constructor(config: KafkaConfig) {
        const open = config.socketFactory as NonNullable<KafkaConfig['socketFactory']>;
        super({ ...config, socketFactory: (request) => join(open(request)) });
      }
    };
  }

  #join(socket: Socket): Socket {
    this.#sockets.add(socket);
    socket.once('close', () => this.#sockets.delete(socket));
    // The adapter has put its own `write` on the socket: replacing `_write` puts the fault behind it, on the wire.
    const wire = socket._write.bind(socket);
    socket._write = (chunk: Buffer, encoding, callback) => {
      const pass = () => {
        if (this.#dark) this.#dark.push(() => wire(chunk, encoding, callback));
        else wire(chunk, encoding, callback);
      };
      const verdict =
        Buffer.isBuffer(chunk) && chunk.length > 6 ? this.#taps.get(chunk.readInt16BE(4))?.(chunk) : 'pass';
      if (verdict === 'cut') {
        socket.destroy(new Error('cut by the test'));
        callback();
      } else if (verdict === 'cut-after') {
        socket.pause();
        wire(chunk, encoding, callback);
        setTimeout(() => socket.destroy(new Error('cut by the test')), CUT_AFTER_MS);
      } else if (verdict instanceof Promise) {
        // The request waits, what is behind it does not.
        void verdict.then(() => wire(chunk, encoding, () => undefined));
        callback();
      } else pass();
    };
    socket._writev = null as unknown as NonNullable<Socket['_writev']>;
    return socket;
  }
}
