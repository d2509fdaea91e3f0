/**
 * Puts ours in place of what kafkajs makes of one API's requests or answers, for the brokers of one cluster: they look
 * every request up in a method that can be replaced. Other clients in the process are left alone, and a broker that has no
 * such method (a fork) is what kafkajs made it.
 */
import type { Broker, Cluster } from 'kafkajs';

/** One version of an API, as kafkajs has it. */
export interface Protocol {
  readonly request: { readonly apiVersion: number; readonly encode?: () => Promise<unknown> };
  readonly response: { decode(data: Buffer): Promise<unknown>; parse(data: unknown): Promise<unknown> };
}
type MakeProtocol = (request: unknown) => Protocol;
type LookUp = (apiKey: number, definition: unknown) => MakeProtocol;
type InnerBroker = Broker & { lookupRequest?: LookUp };
/** @param request  what kafkajs was asked for */
type Replace = (made: Protocol, request: unknown) => Protocol;

/** By what was replaced already, so that it is once. */
const clusters = new WeakMap<object, Map<number, Replace>>();
const watched = new WeakSet<object>();

/** From now on; once for each cluster and API. */
export function replaceRequests(cluster: Cluster, apiKey: number, replace: Replace): void {
  const known = clusters.get(cluster);
  if (known !== undefined) {
    if (!known.has(apiKey)) known.set(apiKey, replace);
    return;
  }
  const replacements = new Map([[apiKey, replace]]);
  clusters.set(cluster, replacements);
  const { findBroker } = cluster;
  cluster.findBroker = async (node) => {
    const broker = await findBroker.call(cluster, node);
    watch(broker, replacements);
    return broker;
  };
}

function watch(broker: InnerBroker, replacements: ReadonlyMap<number, Replace>): void {
  if (watched.has(broker)) return;
  watched.add(broker);
  let lookUp = broker.lookupRequest;
  if (typeof lookUp !== 'function') return;
  const ours: LookUp = (apiKey, definition) => {
    const make = lookUp!(apiKey, definition);
    const replace = replacements.get(apiKey);
    return replace === undefined ? make : (request) => replace(make(request), request);
  };
  // kafkajs sets it anew with every connection.
  Object.defineProperty(broker, 'lookupRequest', {
    configurable: true,
    enumerable: true,
    get: () => ours,
    set: (value: LookUp) => {
      lookUp = value;
    },
  });
}
