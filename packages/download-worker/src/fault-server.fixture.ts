/** A real HTTP server whose answers a test writes, on loopback and a free port; gone when the test is. */
import { createServer, type IncomingMessage, type ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';

export type Answer = (request: IncomingMessage, response: ServerResponse) => void;

export interface FaultServer extends AsyncDisposable {
  /** http://127.0.0.1:PORT/path */
  url(path?: string, host?: string): string;
  readonly port: number;
  /** Paths asked for, in order. */
  readonly asked: string[];
  answer: Answer;
}

export async function startFaultServer(answer: Answer, address = '127.0.0.1'): Promise<FaultServer> {
  const asked: string[] = [];
  const server = createServer((request, response) => {
    asked.push(`${request.method} ${request.url}`);
    started.answer(request, response);
  });
  await new Promise<void>((resolve) => server.listen(0, address, resolve));
  const { port } = server.address() as AddressInfo;
  const started: FaultServer = {
    url: (path = '/file.pdf', host = address) => `http://${host}:${port}${path}`,
    port,
    asked,
    answer,
    async [Symbol.asyncDispose]() {
      server.closeAllConnections();
      await new Promise((resolve) => server.close(resolve));
    },
  };
  return started;
}

/** Answers with a whole file. */
export const file =
  (content: string | Buffer, headers: Record<string, string> = {}): Answer =>
  (_, response) => {
    response.writeHead(200, { 'content-length': String(Buffer.byteLength(content)), ...headers });
    response.end(content);
  };

/** Answers with a status and nothing else. */
export const status =
  (code: number, headers: Record<string, string> = {}, body = ''): Answer =>
  (_, response) => {
    response.writeHead(code, headers);
    response.end(body);
  };
