/**
 * A file server that costs next to nothing, as a process of its own: what is measured, or killed, beside it is the
 * pipeline. The answer is in the URL (files.ts), so the server keeps no list of files.
 *
 *   GET /f/NUMBER/BYTES/WAIT_MS/NAME   the file, after the wait
 *   GET /control/STATUS                from now on every file is answered with this status; 200 ends that
 *   GET /totals                        what was asked for so far, as JSON
 *
 * Sockets and text, no HTTP library: one request is one chunk, since its clients never send a second one before the
 * answer to the first (undici with `pipelining: 1`).
 */
import { createServer, type Socket } from 'node:net';
import { fileParts, readFilePath } from './files.ts';

const totals = { requests: 0, refused: 0, bytes: 0, connections: 0 };
let status = 200;

const REASONS: Readonly<Record<number, string>> = { 404: 'Not Found', 500: 'Internal Server Error' };

function answer(socket: Socket, code: number, body: string): void {
  socket.write(
    `HTTP/1.1 ${code} ${REASONS[code] ?? 'OK'}\r\ncontent-type: text/plain\r\ncontent-length: ${Buffer.byteLength(body)}\r\n\r\n${body}`,
  );
}

function sendFile(socket: Socket, number: number, bytes: number): void {
  if (socket.destroyed) return;
  if (status !== 200) {
    totals.refused++;
    answer(socket, status, 'not now\n');
    return;
  }
  totals.bytes += bytes;
  const { head, rest } = fileParts(number, bytes);
  socket.cork();
  socket.write(
    `HTTP/1.1 200 OK\r\ncontent-type: application/pdf\r\ncontent-length: ${bytes}\r\n\r\n${head.toString('latin1')}`,
    'latin1',
  );
  socket.write(rest);
  socket.uncork();
}

function serve(socket: Socket, path: string): void {
  const control = /^\/control\/(\d{3})$/.exec(path)?.[1];
  if (control !== undefined) {
    status = Number(control);
    answer(socket, 200, 'ok\n');
    return;
  }
  const file = readFilePath(path);
  if (path === '/totals') answer(socket, 200, JSON.stringify(totals));
  else if (!file) answer(socket, 404, 'no such file\n');
  else {
    totals.requests++;
    if (file.waitMs === 0) sendFile(socket, file.number, file.bytes);
    else setTimeout(sendFile, file.waitMs, socket, file.number, file.bytes);
  }
}

const server = createServer({ noDelay: true }, (socket) => {
  totals.connections++;
  let rest = '';
  socket.on('error', () => socket.destroy());
  socket.on('data', (chunk) => {
    rest += chunk.toString('latin1');
    const end = rest.indexOf('\r\n\r\n');
    if (end < 0) return;
    const path = rest.slice(4, rest.indexOf(' ', 4));
    rest = rest.slice(end + 4);
    serve(socket, path);
  });
});
server.listen(0, '127.0.0.1', () => {
  const address = server.address();
  const port = typeof address === 'object' ? address?.port : undefined;
  process.stdout.write(`${JSON.stringify({ msg: 'listening', port })}\n`);
});
process.once('SIGTERM', () => process.exit(0));
