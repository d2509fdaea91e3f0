/**
 * How an API is declared: key, versions, layouts, what is missing, how it answers, and how it refuses. The README's
 * table, ApiVersions and the faults are all made from these declarations.
 */
import type { Cluster } from '../cluster.ts';
import type { Draft, Layout, Message } from '../wire/layout.ts';

/** A line of ApiVersions. */
export interface AdvertisedApi {
  readonly apiKey: number;
  readonly minVersion: number;
  readonly maxVersion: number;
}

/** One request on its way through the broker. */
export interface Call {
  readonly cluster: Cluster;
  /** The node whose port it came to. */
  readonly node: number;
  readonly version: number;
  readonly correlationId: number;
  readonly clientId: string;
  /** As Kafka shows it: `/127.0.0.1`. */
  readonly clientHost: string;
  /** Every API that this broker has. */
  readonly advertised: readonly AdvertisedApi[];
  /** Aborted when the connection ends: whatever waits for this answer may stop. */
  readonly signal: AbortSignal;
}

/**
 * What a handler gives: a response, undefined for none at all (produce with acks 0), or 'hang-up' where closing the
 * connection is the only way to tell of an error.
 */
export type Answer<L extends Layout> = Draft<Message<L>> | undefined | 'hang-up';

export interface Api<Name extends string, Req extends Layout, Res extends Layout> {
  readonly name: Name;
  readonly key: number;
  /** First and last version that are advertised and implemented. */
  readonly versions: readonly [first: number, last: number];
  /** First version with compact lengths and tagged fields; undefined when none. */
  readonly flexibleFrom: number | undefined;
  /** What of these versions is not there, one phrase each, for the README. */
  readonly gaps: readonly string[];
  readonly request: Req;
  readonly response: Res;
  handle(request: Message<Req>, call: Call): Answer<Res> | Promise<Answer<Res>>;
  /** The response that carries `errorCode` everywhere a client looks for it; for scripted faults. */
  refuse(request: Message<Req>, errorCode: number, call: Call): Answer<Res>;
}

export function defineApi<const Name extends string, const Req extends Layout, const Res extends Layout>(
  api: Api<Name, Req, Res>,
): Api<Name, Req, Res> {
  return api;
}
