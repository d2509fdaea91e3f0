/**
 * The worker's small HTTP server: what Kubernetes, Prometheus and KEDA ask.
 *
 *   /healthz   200 while the process lives, 503 when it should be restarted
 *   /readyz    200 while it is connected and joined, 503 with the reason in words
 *   /metrics   Prometheus text
 *   /scaling   the scaling answer as JSON; 503 when it is too old to act on
 *
 * node:http and nothing else: four routes do not pay for a framework's 7 MB. The answers are injected.
 */
import { createServer, type IncomingMessage, type Server, type ServerResponse } from 'node:http';
import type { AddressInfo, Socket } from 'node:net';
import type { Logger } from '@weir/core';
import { PortTakenError } from '../errors.ts';

export interface Health {
  readonly live: boolean;
  readonly ready: boolean;
  /** In words, for whoever reads the probe's answer. */
  readonly detail: string;
}

export interface ScalingReply {
  readonly status: 200 | 404 | 503;
  readonly body: object;
}

export interface HttpOptions {
  /** 0 picks a free one. */
  readonly port: number;
  readonly health: () => Health;
  /** @param query  of the request; a worker has one answer and does not look, the scaler service has one for each worker */
  readonly scaling: (query: URLSearchParams) => ScalingReply;
  /** Prometheus text. */
  readonly metrics: () => Promise<string>;
  readonly log: Logger;
}

export interface HttpServer {
  readonly port: number;
  /** Takes no new connections, lets answers under way finish. Safe twice. */
  stop(): Promise<void>;
}

interface Answer {
  readonly status: number;
  readonly type: string;
  readonly text: string;
}

const PROMETHEUS = 'text/plain; version=0.0.4; charset=utf-8';
const TEXT = 'text/plain; charset=utf-8';
const JSON_TYPE = 'application/json; charset=utf-8';
const ROUTES = ['/healthz', '/readyz', '/metrics', '/scaling'] as const;

/** @throws PortTakenError when another process listens on the port */
export async function startHttp(options: HttpOptions): Promise<HttpServer> {
  const quiet = new Set<Socket>();
  let stopped: Promise<void> | undefined;
  const server = createServer((request, response) => {
    const { socket } = request;
    quiet.delete(socket);
    response.once('close', () => {
      if (stopped) socket.destroySoon();
      else if (!socket.destroyed) quiet.add(socket);
    });
    void reply(options, request, response);
  });
  // A client that stalls must not hold a drain up.
  server.timeout = 10_000;
  server.requestTimeout = 10_000;
  server.headersTimeout = 10_000;
  // Node's closeIdleConnections leaves those alone that never asked anything, and close() then waits for them.
  server.on('connection', (socket) => {
    quiet.add(socket);
    socket.once('close', () => quiet.delete(socket));
  });
  await listen(server, options.port);
  const { port } = server.address() as AddressInfo;
  return {
    port,
    stop: () => {
      stopped ??= new Promise((resolve) => {
        server.close(() => resolve());
        for (const socket of quiet) socket.destroy();
      });
      return stopped;
    },
  };
}

function listen(server: Server, port: number): Promise<void> {
  return new Promise((resolve, reject) => {
    server.once('error', (error: NodeJS.ErrnoException) =>
      reject(error.code === 'EADDRINUSE' ? new PortTakenError(port, { cause: error }) : error),
    );
    server.listen(port, () => {
      server.removeAllListeners('error');
      resolve();
    });
  });
}

async function reply(options: HttpOptions, request: IncomingMessage, response: ServerResponse): Promise<void> {
  let answer: Answer;
  try {
    answer = await answerTo(options, request);
  } catch (error) {
    options.log.error({ error, path: pathOf(request) }, 'an HTTP answer could not be made');
    answer = { status: 500, type: TEXT, text: 'this answer could not be made; the log says why\n' };
  }
  const body = Buffer.from(answer.text);
  response.writeHead(answer.status, {
    'content-type': answer.type,
    'content-length': body.length,
    'cache-control': 'no-store',
    ...(answer.status === 405 ? { allow: 'GET, HEAD' } : {}),
  });
  response.end(request.method === 'HEAD' ? undefined : body);
}

async function answerTo(options: HttpOptions, request: IncomingMessage): Promise<Answer> {
  const route = ROUTES.find((each) => each === pathOf(request));
  if (route === undefined) return { status: 404, type: TEXT, text: `there is nothing here but ${ROUTES.join(' ')}\n` };
  if (request.method !== 'GET' && request.method !== 'HEAD')
    return { status: 405, type: TEXT, text: `${route} is for GET and HEAD\n` };
  switch (route) {
    case '/healthz': {
      const { live, detail } = options.health();
      return { status: live ? 200 : 503, type: TEXT, text: `${live ? 'live' : 'not live'}: ${detail}\n` };
    }
    case '/readyz': {
      const { ready, detail } = options.health();
      return { status: ready ? 200 : 503, type: TEXT, text: `${ready ? 'ready' : 'not ready'}: ${detail}\n` };
    }
    case '/metrics':
      return { status: 200, type: PROMETHEUS, text: await options.metrics() };
    case '/scaling': {
      const { status, body } = options.scaling(queryOf(request));
      return { status, type: JSON_TYPE, text: `${JSON.stringify(body)}\n` };
    }
    default:
      return route satisfies never;
  }
}

function queryOf(request: IncomingMessage): URLSearchParams {
  return new URLSearchParams((request.url ?? '/').split('?')[1] ?? '');
}

function pathOf(request: IncomingMessage): string {
  const path = (request.url ?? '/').split('?')[0] ?? '/';
  return path.length > 1 && path.endsWith('/') ? path.slice(0, -1) : path;
}
