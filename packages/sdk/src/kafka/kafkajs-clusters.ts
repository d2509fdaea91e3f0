/**
 * Reaches the clusters of one client of kafkajs, as they are made: the consumer's, the producer's and the admin's each
 * have one, with the connections in it. kafkajs keeps the method that makes them on the client itself, under a symbol,
 * so what is changed here is changed for our clients alone; others in the process, the application's own, are what
 * kafkajs made them.
 *
 * If a client has no such method (another version, a fork), nothing is changed: those who use this say what is then lost.
 */
import type { Cluster, Kafka } from 'kafkajs';

/** What kafkajs's cluster has beyond its typings. */
export type OwnCluster = Cluster & {
  retry?: object;
  connectionPoolBuilder?: {
    build?: (...address: readonly unknown[]) => Promise<{ readonly pool?: readonly OwnConnection[] }>;
  };
};

/** A connection to a broker, and what of it is changed for our clients. */
export interface OwnConnection {
  readonly host?: unknown;
  readonly port?: unknown;
  disconnect?: () => Promise<unknown>;
  readonly requestQueue?: unknown;
}

type MakeCluster = (options: unknown) => OwnCluster;

export function onClusters(kafka: Kafka, each: (cluster: OwnCluster) => void): void {
  const client = kafka as unknown as Record<symbol, MakeCluster | undefined>;
  const key = Object.getOwnPropertySymbols(client).find(({ description }) => description === MAKE_CLUSTER);
  const make = key && client[key];
  if (!key || typeof make !== 'function') return;
  client[key] = (options) => {
    const cluster = make(options);
    each(cluster);
    return cluster;
  };
}

/** Every connection that a cluster makes from now on. */
export function onConnections(cluster: OwnCluster, each: (connection: OwnConnection) => void): void {
  const builder = cluster.connectionPoolBuilder;
  const build = builder?.build;
  if (!builder || typeof build !== 'function') return;
  builder.build = async (...address) => {
    const connections = await build.call(builder, ...address);
    for (const connection of connections.pool ?? []) each(connection);
    return connections;
  };
}

const MAKE_CLUSTER = 'private:Kafka:createCluster';
