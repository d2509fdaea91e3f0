/**
 * From a frame to its answer: header, API and version, faults, handler, response. Kafka closes the connection for what
 * it cannot read (unknown API, unknown version, broken body), with one exception: an unknown version of ApiVersions is
 * answered in version 0, because that request is how a client finds out.
 */
import { API_VERSIONS_KEY } from '../apis/18-api-versions.ts';
import type { Call } from '../apis/api.ts';
import { ADVERTISED, type AnyApi, apiByKey } from '../apis/registry.ts';
import type { Cluster } from '../cluster.ts';
import { MalformedFrameError } from '../errors.ts';
import type { Faults } from '../faults.ts';
import { Reader, Writer } from '../wire/bytes.ts';
import { decodeMessage, type Encoding, encodeMessage } from '../wire/codec.ts';
import { CODES } from '../wire/codes.ts';

export interface Caller {
  readonly cluster: Cluster;
  readonly faults: Faults;
  readonly node: number;
  readonly clientHost: string;
  readonly signal: AbortSignal;
}

/** @throws MalformedFrameError when the frame is no request that this broker has */
export async function dispatch(frame: Buffer, caller: Caller): Promise<Buffer[] | undefined | 'close'> {
  const reader = new Reader(frame);
  const key = reader.int16();
  const version = reader.int16();
  const correlationId = reader.int32();
  const api = apiByKey(key);
  if (!api) throw new MalformedFrameError(`unknown API ${key}`);
  if (version < api.versions[0] || version > api.versions[1]) {
    if (key === API_VERSIONS_KEY) return refuseVersion(api, correlationId);
    throw new MalformedFrameError(
      `${api.name} v${version} is not supported, only v${api.versions[0]} to v${api.versions[1]}`,
    );
  }
  const encoding: Encoding = { version, flexible: api.flexibleFrom !== undefined && version >= api.flexibleFrom };
  const clientIdLength = reader.int16();
  const clientId = clientIdLength < 0 ? '' : reader.text(clientIdLength);
  if (encoding.flexible) skipTags(reader);
  const request = decodeMessage(api.request, reader, encoding);
  if (reader.left > 0) throw new MalformedFrameError(`${reader.left} bytes too many for ${api.name} v${version}`);
  const { cluster, node, clientHost, signal } = caller;
  const call: Call = { cluster, node, version, correlationId, clientId, clientHost, advertised: ADVERTISED, signal };

  const fault = caller.faults.active ? await caller.faults.apply(api.name, request, call) : undefined;
  if (fault?.kind === 'drop') return 'close';
  const given = fault?.kind === 'refuse' ? api.refuse(request, fault.errorCode, call) : undefined;
  const asked = fault?.kind === 'instead' ? (fault.request as never) : request;
  const answering = given ?? (fault?.kind === 'respond' ? (fault.response as never) : api.handle(asked, call));
  const answer = answering instanceof Promise ? await answering : answering;
  if (fault?.kind === 'late') await cluster.options.clock.sleep(fault.ms, signal).catch(() => undefined);
  if (fault?.kind === 'lose-answer' || answer === 'hang-up') return 'close';
  return answer === undefined ? undefined : encodeResponse(api, answer, correlationId, encoding);
}

function encodeResponse(api: AnyApi, response: object, correlationId: number, encoding: Encoding): Buffer[] {
  const writer = new Writer();
  writer.int32(correlationId);
  // The header of an ApiVersions answer never has tagged fields: its reader may not know of them.
  if (encoding.flexible && api.key !== API_VERSIONS_KEY) writer.uvarint(0);
  encodeMessage(api.response, response, writer, encoding);
  const length = Buffer.allocUnsafe(4);
  length.writeInt32BE(writer.size);
  return [length, ...writer.finish()];
}

function refuseVersion(api: AnyApi, correlationId: number): Buffer[] {
  const response = { errorCode: CODES.UNSUPPORTED_VERSION, apiKeys: ADVERTISED };
  return encodeResponse(api, response, correlationId, { version: 0, flexible: false });
}

function skipTags(reader: Reader): void {
  for (let count = reader.uvarint(); count > 0; count--) {
    reader.uvarint();
    reader.slice(reader.uvarint());
  }
}
