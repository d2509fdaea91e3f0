/**
 * Ends requests that kafkajs 2.2.4 forgets. When the broker closes a connection, kafkajs fails what is under way, stops the
 * timer that watches over its requests, and ends the socket, with a few microtasks in between, in which the connection
 * still counts as connected. A request that is handed over in that moment is written into a socket that nobody answers on
 * any more, and nobody is left to time it out: its promise never settles, unless the same connection is made again. A
 * member that reads its offsets back in that moment would keep its place in the group, and do nothing, for ever.
 *
 * So whatever is still under way when a disconnect is through fails like the rest did. If a connection looks different
 * (another version, a fork), nothing is changed.
 */
import kafkajs from 'kafkajs';
import type { OwnConnection } from './kafkajs-clusters.ts';

interface RequestQueue {
  readonly inflight: ReadonlyMap<number, unknown>;
  readonly pending: readonly unknown[];
  rejectAll(error: Error): void;
}

/** Not in kafkajs's typings. */
const { KafkaJSConnectionClosedError } = kafkajs as unknown as {
  KafkaJSConnectionClosedError: new (message: string, of: { host: unknown; port: unknown }) => Error;
};

export function failForgottenRequests(connection: OwnConnection): void {
  const queue = connection.requestQueue as RequestQueue | undefined;
  const disconnect = connection.disconnect;
  if (typeof queue?.rejectAll !== 'function' || typeof disconnect !== 'function') return;
  connection.disconnect = async () => {
    const done = await disconnect.call(connection);
    if (queue.inflight.size + queue.pending.length > 0)
      queue.rejectAll(
        new KafkaJSConnectionClosedError('Closed connection', connection as { host: unknown; port: unknown }),
      );
    return done;
  };
}
