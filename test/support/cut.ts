/**
 * A TCP proxy that takes a server away: clients are told its address, and what they meet there is the test's.
 *
 *   through   what is sent arrives
 *   refused   nobody listens, and the connections that were open are reset: the server has been killed
 *   silent    connections are taken and nothing is ever answered: a server that hangs, or a network that swallows
 *
 * With the next move every connection of the time before is reset, so that a silent time ends as a restart does.
 */
import { connect, createServer, type Server, type Socket } from 'node:net';

export type Cut = 'through' | 'refused' | 'silent';

export class CuttableServer {
  readonly port: number;
  readonly #target: URL;
  readonly #sockets = new Set<Socket>();
  #server: Server | undefined;
  #cut: Cut = 'through';

  /** Only `cuttable` makes one. */
  constructor(target: URL, server: Server, port: number) {
    this.#target = target;
    this.#server = server;
    this.port = port;
    server.on('connection', (near) => this.#take(near));
  }

  /** What clients are told. */
  get url(): string {
    return `http://127.0.0.1:${this.port}`;
  }

  async become(cut: Cut): Promise<void> {
    this.#cut = cut;
    for (const socket of this.#sockets) socket.resetAndDestroy();
    if (cut === 'refused') {
      const server = this.#server;
      this.#server = undefined;
      if (server) await new Promise((resolve) => server.close(resolve));
    } else if (this.#server === undefined) {
      this.#server = await listening(this.port);
      this.#server.on('connection', (near) => this.#take(near));
    }
  }

  stop(): Promise<void> {
    return this.become('refused');
  }

  #take(near: Socket): void {
    this.#sockets.add(near);
    near.on('error', () => near.destroy()).on('close', () => this.#sockets.delete(near));
    if (this.#cut !== 'through') {
      near.resume();
      return;
    }
    const far = connect(Number(this.#target.port || 80), this.#target.hostname);
    near.setNoDelay();
    far.setNoDelay();
    near.pipe(far);
    far.pipe(near);
    near.on('close', () => far.destroy());
    far.on('error', () => near.resetAndDestroy()).on('close', () => near.destroy());
  }
}

/** @param url  of the server behind it: `http://host:port` */
export async function cuttable(url: string): Promise<CuttableServer> {
  const server = await listening(0);
  return new CuttableServer(new URL(url), server, (server.address() as { port: number }).port);
}

function listening(port: number): Promise<Server> {
  const server = createServer();
  return new Promise((resolve, reject) => {
    server.once('error', reject).listen(port, '127.0.0.1', () => resolve(server));
  });
}
