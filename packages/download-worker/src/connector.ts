/**
 * The moment of connecting, where a name has become an address and nothing can change it any more. A name may answer
 * differently each time it is asked (DNS rebinding), so checking it earlier proves nothing: the addresses checked here
 * are the ones the socket then uses. One private address among the answers refuses them all. Literal addresses never
 * pass a lookup, so they are checked on their own, and the socket's peer is looked at once more at the end.
 */
import { promises as dns, type LookupAddress, type LookupOptions } from 'node:dns';
import { isIP } from 'node:net';
import type { buildConnector } from 'undici';
import { refusalOf } from './address.ts';
import { AddressRefusedError } from './errors.ts';

/** All addresses of a host name, in the order to try them. */
export type Resolve = (host: string) => Promise<readonly LookupAddress[]>;

export const systemResolve: Resolve = (host) => dns.lookup(host, { all: true, verbatim: true });

export interface ConnectorOptions {
  readonly allowPrivate: boolean;
  readonly timeoutMs: number;
  readonly resolve?: Resolve;
}

export function guardedConnector(build: typeof buildConnector, options: ConnectorOptions): buildConnector.connector {
  const { allowPrivate, resolve = systemResolve } = options;

  function check(host: string, address: string): void {
    const refused = allowPrivate ? undefined : refusalOf(address);
    if (refused !== undefined) throw new AddressRefusedError(host, address, refused);
  }

  const connect = build({
    timeout: options.timeoutMs,
    // Over HTTP/2 many transfers share one connection: a host that stalls one would stall them all.
    allowH2: false,
    lookup(host: string, wanted: LookupOptions, done: LookupDone) {
      addressesOf(host, wanted).then(
        (found) => (wanted.all ? done(null, found) : done(null, found[0]!.address, found[0]!.family)),
        (error) => done(error, wanted.all ? [] : ''),
      );
    },
  });

  async function addressesOf(host: string, wanted: LookupOptions): Promise<LookupAddress[]> {
    const found = await resolve(host);
    for (const { address } of found) check(host, address);
    const family = wanted.family === 4 || wanted.family === 6 ? wanted.family : undefined;
    const usable = found.filter((each) => family === undefined || each.family === family);
    if (usable.length === 0) throw Object.assign(new Error(`no address found for ${host}`), { code: 'ENOTFOUND' });
    return usable;
  }

  return (target, callback) => {
    const literal = target.hostname.replace(/^\[|\]$/g, '');
    try {
      if (isIP(literal)) check(literal, literal);
    } catch (error) {
      queueMicrotask(() => callback(error as Error, null));
      return;
    }
    connect(target, (...[error, socket]) => {
      if (error || !socket) {
        callback(error ?? new Error('no socket'), null);
        return;
      }
      try {
        if (socket.remoteAddress !== undefined) check(target.hostname, socket.remoteAddress);
        callback(null, socket);
      } catch (refused) {
        socket.destroy();
        callback(refused as Error, null);
      }
    });
  };
}

type LookupDone = (error: Error | null, address: string | LookupAddress[], family?: number) => void;
