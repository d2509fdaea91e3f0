/** One node of the broker: a listening port and its connections. It can go down and come back on the same port. */
import { createServer, type Server, type Socket } from 'node:net';
import type { Cluster, NodeInfo } from '../cluster.ts';
import { MalformedFrameError, PortTakenError } from '../errors.ts';
import type { Faults } from '../faults.ts';
import { Connection } from './connection.ts';
import { dispatch } from './dispatch.ts';

export interface ConnectionInfo {
  readonly node: number;
  /** `address:port` of the client. */
  readonly remote: string;
  /** As the client named itself in its last request. */
  readonly clientId: string;
}

export class BrokerNode {
  readonly info: NodeInfo;
  readonly #cluster: Cluster;
  readonly #faults: Faults;
  #server: Server | undefined;
  readonly #connections = new Map<Connection, ConnectionInfo & { clientId: string }>();

  constructor(info: NodeInfo, cluster: Cluster, faults: Faults) {
    this.info = info;
    this.#cluster = cluster;
    this.#faults = faults;
  }

  /** Listens; takes a free port when its own is 0, and keeps it from then on. */
  async start(): Promise<void> {
    const { host } = this.#cluster.options;
    const server = createServer((socket) => this.#accept(socket));
    this.#server = server;
    await new Promise<void>((resolve, reject) => {
      server.once('error', (error: NodeJS.ErrnoException) => {
        reject(error.code === 'EADDRINUSE' ? new PortTakenError(host, this.info.port, error) : error);
      });
      server.listen(this.info.port, host, resolve);
    });
    server.on('error', (error) => this.#cluster.options.log.warn({ error, node: this.info.id }, 'listening failed'));
    const address = server.address();
    if (address !== null && typeof address === 'object') this.info.port = address.port;
    this.info.alive = true;
  }

  async stop(): Promise<void> {
    const server = this.#server;
    this.#server = undefined;
    if (!server) return;
    const closed = new Promise<void>((resolve) => server.close(() => resolve()));
    for (const connection of [...this.#connections.keys()]) connection.close();
    await closed;
  }

  /** Hangs up. @returns how many connections were closed */
  drop(filter: (connection: ConnectionInfo) => boolean): number {
    const chosen = [...this.#connections].filter(([, info]) => filter(info));
    for (const [connection] of chosen) connection.close();
    return chosen.length;
  }

  get connections(): number {
    return this.#connections.size;
  }

  #accept(socket: Socket): void {
    const { options, events } = this.#cluster;
    const address = socket.remoteAddress ?? 'unknown';
    const info = { node: this.info.id, remote: `${address}:${socket.remotePort ?? 0}`, clientId: '' };
    const clientHost = `/${address.replace(/^::ffff:/, '')}`;
    const refused = (reason: string) => {
      options.log.warn({ node: info.node, remote: info.remote, reason }, 'connection closed: no Kafka request');
      events.emit('connection:refused', { node: info.node, remote: info.remote, reason });
    };
    const connection = new Connection({
      socket,
      maxRequestBytes: options.maxRequestBytes,
      refused,
      closed: () => this.#connections.delete(connection),
      handle: async (frame, signal) => {
        try {
          if (frame.length > 10) {
            const length = frame.readInt16BE(8);
            if (length > 0 && 10 + length <= frame.length) info.clientId = frame.toString('utf8', 10, 10 + length);
          }
          return await dispatch(frame, {
            cluster: this.#cluster,
            faults: this.#faults,
            node: this.info.id,
            clientHost,
            signal,
          });
        } catch (error) {
          if (error instanceof MalformedFrameError) refused(error.message);
          else options.log.error({ error, node: info.node, remote: info.remote }, 'a request failed in the broker');
          return 'close';
        }
      },
    });
    this.#connections.set(connection, info);
  }
}
