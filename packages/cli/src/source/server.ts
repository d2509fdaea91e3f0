/**
 * The file servers: one HTTP server for each of several loopback addresses (127.0.0.1, 127.0.0.2, …), because a breaker
 * belongs to a host, and hosts must be able to fail one by one. Where a second loopback address cannot be bound (macOS
 * has only the first), another port of the first stands in.
 *
 * Every attachment has a URL of its own, `/a/NUMBER/NAME`; its fault and the tries it has seen belong to that URL.
 */
import { createServer, type IncomingMessage, type Server, type ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';
import { Readable } from 'node:stream';
import { pipeline } from 'node:stream/promises';
import type { Clock } from '@weir/core';
import type { Fault } from './faults.ts';
import type { SourceFile } from './files.ts';

export interface Attachment {
  readonly file: SourceFile;
  readonly fault: Fault | undefined;
  /** What a real server takes before its first byte. */
  readonly latencyMs: number;
}

export interface ServerTotals {
  requests: number;
  bytes: number;
  /** Requests answered by a fault. */
  faults: number;
}

/** A slow file takes this long, in this many pieces. */
const SLOW_MS = 3_000;
const SLOW_PIECES = 6;
const ZEROS = Buffer.alloc(64 * 1024);

export interface FileServersOptions {
  readonly clock: Clock;
  /** How many addresses. */
  readonly hosts: number;
  /** The size limit of whoever downloads: an oversized file is one byte above it. */
  readonly sizeLimitBytes: number;
}

export class FileServers {
  readonly totals: ServerTotals = { requests: 0, bytes: 0, faults: 0 };
  readonly #options: FileServersOptions;
  readonly #stopped = new AbortController();
  readonly #servers: Server[] = [];
  readonly #bases: string[] = [];
  readonly #attachments: { readonly attachment: Attachment; tries: number }[] = [];

  constructor(options: FileServersOptions) {
    this.#options = options;
  }

  /** `http://127.0.0.2:43211` of each, in order; empty before the start. */
  get bases(): readonly string[] {
    return this.#bases;
  }

  async start(): Promise<void> {
    for (let host = 0; host < this.#options.hosts; host++) {
      const server = createServer({ keepAliveTimeout: 30_000 }, (request, response) => {
        void this.#serve(request, response);
      });
      const wanted = `127.0.0.${host + 1}`;
      const address = await listen(server, wanted).catch((error: NodeJS.ErrnoException) => {
        if (host === 0 || (error.code !== 'EADDRNOTAVAIL' && error.code !== 'EINVAL')) throw error;
        return listen(server, '127.0.0.1');
      });
      this.#servers.push(server);
      this.#bases.push(`http://${address.address}:${address.port}`);
    }
  }

  async stop(): Promise<void> {
    this.#stopped.abort();
    const servers = this.#servers.splice(0);
    await Promise.all(
      servers.map((server) => {
        const closed = new Promise<void>((resolve) => server.close(() => resolve()));
        server.closeAllConnections();
        return closed;
      }),
    );
  }

  /** Gives the attachment a URL on host number `host`. */
  add(host: number, attachment: Attachment): string {
    const number = this.#attachments.push({ attachment, tries: 0 }) - 1;
    return `${this.#bases[host % this.#bases.length]}/a/${number}/${encodeURIComponent(attachment.file.name)}`;
  }

  async #serve(request: IncomingMessage, response: ServerResponse): Promise<void> {
    try {
      this.totals.requests++;
      const number = /^\/a\/(\d+)\//.exec(request.url ?? '')?.[1];
      const entry = number === undefined ? undefined : this.#attachments[Number(number)];
      if (!entry || (request.method !== 'GET' && request.method !== 'HEAD')) {
        response.writeHead(entry ? 405 : 404).end();
        return;
      }
      const { attachment } = entry;
      const attempt = request.method === 'GET' ? ++entry.tries : entry.tries + 1;
      await this.#options.clock.sleep(attachment.latencyMs, this.#stopped.signal);
      await this.#answer(response, attachment, attempt);
    } catch {
      // The other side has gone (or we stop): nobody is left to tell.
      response.destroy();
    }
  }

  async #answer(response: ServerResponse, { file, fault }: Attachment, attempt: number): Promise<void> {
    switch (fault?.kind) {
      case 'not-found':
        return this.#refuse(response, 404);
      case 'broken':
        return this.#refuse(response, 500);
      case 'flaky':
        return attempt <= fault.times ? this.#refuse(response, 500) : this.#send(response, file);
      case 'oversized':
        return this.#sendTooMuch(response, file, fault.announced);
      case 'reset':
        if (attempt > 1) return this.#send(response, file);
        this.totals.faults++;
        response.socket?.resetAndDestroy();
        return;
      case 'truncated':
        if (attempt > 1) return this.#send(response, file);
        this.totals.faults++;
        response.writeHead(200, headersOf(file));
        for await (const chunk of file.read(0, Math.floor(file.bytes / 2))) response.write(chunk);
        // Let what was written leave before the line breaks.
        await this.#options.clock.sleep(20, this.#stopped.signal);
        response.destroy();
        return;
      case 'slow':
        this.totals.faults++;
        return this.#send(response, file, SLOW_MS);
      default:
        return this.#send(response, file);
    }
  }

  #refuse(response: ServerResponse, status: number): void {
    this.totals.faults++;
    response.writeHead(status, { 'content-type': 'text/plain' }).end(`${status}\n`);
  }

  async #send(response: ServerResponse, file: SourceFile, overMs = 0): Promise<void> {
    response.writeHead(200, headersOf(file));
    const pieces = overMs > 0 ? SLOW_PIECES : 1;
    const { clock } = this.#options;
    const signal = this.#stopped.signal;
    const totals = this.totals;
    async function* body(): AsyncGenerator<Uint8Array> {
      for (let piece = 0; piece < pieces; piece++) {
        if (overMs > 0) await clock.sleep(overMs / pieces, signal);
        const start = Math.floor((file.bytes * piece) / pieces);
        for await (const chunk of file.read(start, Math.floor((file.bytes * (piece + 1)) / pieces))) {
          totals.bytes += chunk.byteLength;
          yield chunk;
        }
      }
    }
    await pipeline(Readable.from(body(), { objectMode: false }), response);
  }

  /** Sends until the other side has had enough; whoever has no limit gets one byte more than it should. */
  async #sendTooMuch(response: ServerResponse, file: SourceFile, announced: boolean): Promise<void> {
    this.totals.faults++;
    const bytes = this.#options.sizeLimitBytes + 1;
    response.writeHead(200, {
      'content-type': file.contentType,
      ...(announced ? { 'content-length': bytes } : {}),
    });
    function* body(): Generator<Uint8Array> {
      for (let left = bytes; left > 0; left -= ZEROS.length)
        yield left < ZEROS.length ? ZEROS.subarray(0, left) : ZEROS;
    }
    await pipeline(Readable.from(body(), { objectMode: false }), response);
  }
}

function headersOf(file: SourceFile): Record<string, string | number> {
  return { 'content-type': file.contentType, 'content-length': file.bytes };
}

function listen(server: Server, address: string): Promise<AddressInfo> {
  return new Promise((resolve, reject) => {
    server.once('error', reject);
    server.listen(0, address, () => {
      server.off('error', reject);
      resolve(server.address() as AddressInfo);
    });
  });
}
