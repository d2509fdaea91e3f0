/**
 * One client connection. Requests are handled strictly one after the other, as Kafka does, so answers come in order and
 * a long poll holds up what was sent behind it. Nothing is buffered without a bound:
 *
 *   - while requests wait to be handled the socket is not read beyond a small backlog;
 *   - while the client does not read its answers the next request is not handled;
 *   - a frame's memory grows with the bytes that came, not with the length it claims.
 *
 * A frame that makes no sense closes the connection. Nothing a client sends can do more than that.
 */
import type { Socket } from 'node:net';
import { MalformedFrameError } from '../errors.ts';

/** Requests that may wait behind the one being handled before the socket is no longer read. */
const BACKLOG_FRAMES = 16;
const BACKLOG_BYTES = 1024 * 1024;

export interface ConnectionOptions {
  readonly socket: Socket;
  readonly maxRequestBytes: number;
  /** Gives the answer to one frame as pieces, undefined for none, or `close` to hang up. */
  readonly handle: (frame: Buffer, signal: AbortSignal) => Promise<Buffer[] | undefined | 'close'>;
  /** The client sent something that is no request. */
  readonly refused: (reason: string) => void;
  readonly closed: () => void;
}

export class Connection {
  readonly #options: ConnectionOptions;
  readonly #socket: Socket;
  readonly #abort = new AbortController();
  readonly #frames: Buffer[] = [];
  #framesBytes = 0;
  #partial: Buffer[] = [];
  #partialBytes = 0;
  /** Length of the frame that is being received; -1 before its length is known. */
  #wanted = -1;
  #busy = false;

  constructor(options: ConnectionOptions) {
    this.#options = options;
    this.#socket = options.socket;
    this.#socket.setNoDelay(true);
    this.#socket.on('data', (chunk: Buffer) => this.#receive(chunk));
    this.#socket.on('error', () => this.close());
    this.#socket.on('end', () => this.close());
    this.#socket.on('close', () => {
      this.#abort.abort();
      this.#frames.length = 0;
      this.#partial = [];
      options.closed();
    });
  }

  close(): void {
    this.#abort.abort();
    this.#socket.destroy();
  }

  #receive(chunk: Buffer): void {
    this.#partial.push(chunk);
    this.#partialBytes += chunk.length;
    try {
      this.#cut();
    } catch (error) {
      if (!(error instanceof MalformedFrameError)) throw error;
      this.#options.refused(error.message);
      this.close();
      return;
    }
    if (this.#busy && (this.#frames.length >= BACKLOG_FRAMES || this.#framesBytes >= BACKLOG_BYTES)) {
      this.#socket.pause();
    }
    if (!this.#busy && this.#frames.length > 0) void this.#work();
  }

  /** Cuts complete frames out of what has been received. */
  #cut(): void {
    for (;;) {
      if (this.#wanted < 0) {
        if (this.#partialBytes < 4) return;
        const start = this.#joined();
        this.#wanted = start.readInt32BE(0);
        if (this.#wanted < 0 || this.#wanted > this.#options.maxRequestBytes) {
          throw new MalformedFrameError(
            `a request of ${this.#wanted} bytes; at most ${this.#options.maxRequestBytes} are taken`,
          );
        }
        this.#replace(start.subarray(4));
      }
      if (this.#partialBytes < this.#wanted) return;
      const all = this.#joined();
      const frame = all.subarray(0, this.#wanted);
      this.#replace(all.subarray(this.#wanted));
      this.#wanted = -1;
      this.#frames.push(frame);
      this.#framesBytes += frame.length;
    }
  }

  #joined(): Buffer {
    const first = this.#partial[0];
    if (this.#partial.length === 1 && first) return first;
    return Buffer.concat(this.#partial, this.#partialBytes);
  }

  #replace(rest: Buffer): void {
    this.#partial = rest.length > 0 ? [rest] : [];
    this.#partialBytes = rest.length;
  }

  async #work(): Promise<void> {
    this.#busy = true;
    for (;;) {
      const frame = this.#frames.shift();
      if (!frame) break;
      this.#framesBytes -= frame.length;
      const answer = await this.#options.handle(frame, this.#abort.signal);
      if (this.#abort.signal.aborted) return;
      if (answer === 'close') {
        this.close();
        return;
      }
      if (answer && !this.#send(answer)) await this.#drained();
      if (this.#abort.signal.aborted) return;
      if (this.#socket.isPaused() && this.#frames.length < BACKLOG_FRAMES / 2) this.#socket.resume();
    }
    this.#busy = false;
  }

  /** @returns false when the client is slow to read */
  #send(pieces: readonly Buffer[]): boolean {
    let ready = true;
    this.#socket.cork();
    for (const piece of pieces) ready = this.#socket.write(piece);
    this.#socket.uncork();
    return ready;
  }

  #drained(): Promise<void> {
    return new Promise((resolve) => {
      const done = () => {
        this.#socket.off('drain', done);
        this.#socket.off('close', done);
        resolve();
      };
      this.#socket.once('drain', done);
      this.#socket.once('close', done);
    });
  }
}
