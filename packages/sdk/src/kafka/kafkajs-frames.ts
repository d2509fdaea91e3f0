/**
 * The socket factory given to kafkajs. Every request of the client passes `write` here, whole and not yet encrypted,
 * which gives the adapter three things that kafkajs does not have:
 *
 * - an awaited revoke: the JoinGroup frame is held back until the adapter lets it go. This covers every way into a
 *   join (partition growth and leader moves emit no event), and Kafka answers commits and heartbeats meanwhile;
 * - the generation of a join, which kafkajs tells nobody before the first heartbeat: the SyncGroup frame has it;
 * - a join on demand: a heartbeat of a generation that does not exist is answered with "illegal generation", after which
 *   kafkajs joins again under the same member id.
 *
 * Everything that is no frame of this group passes untouched, SASL's raw tokens among it.
 */
import { isIP, connect as netConnect, type Socket } from 'node:net';
import { type ConnectionOptions, connect as tlsConnect } from 'node:tls';

const JOIN_GROUP = 11;
const HEARTBEAT = 12;
const SYNC_GROUP = 14;
const KEEP_ALIVE_MS = 60_000;

export interface FrameWatch {
  /** The group whose frames are meant. */
  readonly group: string;
  /** A JoinGroup is about to be written. It is written when the promise settles; undefined writes it at once. */
  joining(memberId: string): Promise<void> | undefined;
  /** A SyncGroup is written: the join has given this generation and member id. */
  syncing(generation: number, memberId: string): void;
  /** A heartbeat is written. True sends it with a generation that does not exist: the client is told to join again. */
  beating(): boolean;
}

export interface SocketRequest {
  host: string;
  port: number;
  ssl?: ConnectionOptions | undefined;
  onConnect: () => void;
}

/** Opens sockets the way kafkajs does, and knows those that are open. */
export class Sockets {
  readonly #open = new Set<Socket>();
  readonly #watch: FrameWatch | undefined;
  #closed: string | undefined;

  constructor(watch?: FrameWatch) {
    this.#watch = watch;
  }

  readonly factory = ({ host, port, ssl, onConnect }: SocketRequest): Socket => {
    if (this.#closed !== undefined) throw new Error(this.#closed);
    const socket = ssl
      ? tlsConnect({ host, port, ...(isIP(host) ? {} : { servername: host }), ...ssl }, onConnect)
      : netConnect({ host, port }, onConnect);
    socket.setKeepAlive(true, KEEP_ALIVE_MS);
    socket.setNoDelay(true);
    this.#open.add(socket);
    socket.once('close', () => this.#open.delete(socket));
    if (this.#watch) watchWrites(socket, this.#watch);
    return socket;
  };

  /** Breaks every open connection, for good: kafkajs sees an error and gives up what it was waiting for. */
  destroy(reason: string): void {
    this.#closed = reason;
    for (const socket of this.#open) socket.destroy(new Error(reason));
  }
}

function watchWrites(socket: Socket, watch: FrameWatch): void {
  const write = socket.write.bind(socket) as (chunk: Uint8Array, encoding: BufferEncoding) => boolean;
  const watched = (chunk: Uint8Array, encoding: BufferEncoding): boolean => {
    const frame = Buffer.isBuffer(chunk) ? readGroupFrame(chunk) : undefined;
    if (frame?.group === watch.group) {
      if (frame.key === HEARTBEAT) {
        if (watch.beating()) return write(withGeneration(chunk, frame, -1), encoding);
      } else if (frame.key === SYNC_GROUP) watch.syncing(frame.generation, frame.memberId);
      else if (frame.key === JOIN_GROUP) {
        const held = watch.joining(frame.memberId);
        if (held) {
          const release = () => {
            if (!socket.destroyed && socket.writable) write(chunk, encoding);
          };
          held.then(release, release);
          return true;
        }
      }
    }
    return write(chunk, encoding);
  };
  socket.write = watched as Socket['write'];
}

export interface GroupFrame {
  readonly key: number;
  readonly group: string;
  /** Of heartbeat and SyncGroup; -1 in a JoinGroup. */
  readonly generation: number;
  readonly memberId: string;
  /** Where the generation stands in the frame; -1 in a JoinGroup. */
  readonly generationAt: number;
}

/**
 * Reads the head of a JoinGroup, Heartbeat or SyncGroup request (versions before flexible ones, which are all that
 * kafkajs speaks).
 * @returns undefined for anything else, also for bytes that only look like one
 */
export function readGroupFrame(frame: Buffer): GroupFrame | undefined {
  if (frame.length < 16 || frame.readInt32BE(0) !== frame.length - 4) return undefined;
  const key = frame.readInt16BE(4);
  if (key !== JOIN_GROUP && key !== HEARTBEAT && key !== SYNC_GROUP) return undefined;
  const version = frame.readInt16BE(6);
  const cursor = new Cursor(frame, 12);
  cursor.string();
  const group = cursor.string();
  if (group === undefined) return undefined;
  let generation = -1;
  let generationAt = -1;
  if (key === JOIN_GROUP) cursor.skip(version >= 1 ? 8 : 4);
  else {
    generationAt = cursor.at;
    generation = cursor.int32() ?? -1;
  }
  const memberId = cursor.string();
  return memberId === undefined ? undefined : { key, group, generation, memberId, generationAt };
}

function withGeneration(chunk: Uint8Array, frame: GroupFrame, generation: number): Buffer {
  const changed = Buffer.from(chunk);
  changed.writeInt32BE(generation, frame.generationAt);
  return changed;
}

class Cursor {
  readonly #buffer: Buffer;
  #at: number;
  constructor(buffer: Buffer, at: number) {
    this.#buffer = buffer;
    this.#at = at;
  }
  get at(): number {
    return this.#at;
  }
  skip(bytes: number): void {
    this.#at += bytes;
  }
  int32(): number | undefined {
    if (this.#at + 4 > this.#buffer.length) return undefined;
    const value = this.#buffer.readInt32BE(this.#at);
    this.#at += 4;
    return value;
  }
  string(): string | undefined {
    if (this.#at + 2 > this.#buffer.length) return undefined;
    const length = this.#buffer.readInt16BE(this.#at);
    this.#at += 2;
    if (length < 0) return '';
    if (this.#at + length > this.#buffer.length) return undefined;
    const value = this.#buffer.toString('utf8', this.#at, this.#at + length);
    this.#at += length;
    return value;
  }
}
