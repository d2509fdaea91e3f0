/**
 * The least that one Node process can do for the download worker's job, in several ways; a child of floor.ts. Says `ready`,
 * waits for a line, then downloads and prints what it took.
 *
 *   node --conditions=source floor-client.ts WAY URL FILES AT_ONCE FOLDER
 */
import { hash } from 'node:crypto';
import { closeSync, mkdirSync, openSync, renameSync, writeSync } from 'node:fs';
import { get, Agent as HttpAgent } from 'node:http';
import { connect } from 'node:net';
import { performance } from 'node:perf_hooks';
import { Agent, request } from 'undici';
import { exchange } from '../../packages/download-worker/src/exchange.ts';
import { filePath } from '../../test/support/pipeline/files.ts';

const [way = '', base = '', files, atOnce, folder = ''] = process.argv.slice(2);
const { hostname, port } = new URL(base);
const headers = { accept: '*/*', 'accept-encoding': 'identity', 'user-agent': 'weir-download-worker' };
const pathOf = (number: number) => filePath({ number, bytes: 20 * 1024, waitMs: 0 }, `report-${number % 1000}.pdf`);
const whole = (chunks: readonly Buffer[]) => (chunks.length === 1 ? chunks[0]! : Buffer.concat(chunks));
const signal = new AbortController().signal;

type Fetch = (number: number) => Promise<Buffer>;

const agent = new Agent({ headersTimeout: 30_000, bodyTimeout: 30_000, pipelining: 1, allowH2: false });
async function collected(body: AsyncIterable<Buffer>): Promise<Buffer> {
  const chunks: Buffer[] = [];
  for await (const chunk of body) chunks.push(chunk);
  return whole(chunks);
}
const byRequest: Fetch = async (number) =>
  collected((await request(new URL(pathOf(number), base), { dispatcher: agent, headers })).body);
const byExchange: Fetch = async (number) =>
  collected((await exchange(agent, new URL(pathOf(number), base), { headers, signal })).body);

const httpAgent = new HttpAgent({ keepAlive: true });
const byHttp: Fetch = (number) =>
  new Promise((resolve, reject) => {
    get(new URL(pathOf(number), base), { agent: httpAgent, headers }, (response) => {
      const chunks: Buffer[] = [];
      response.on('data', (chunk: Buffer) => chunks.push(chunk));
      response.on('end', () => resolve(whole(chunks)));
    }).on('error', reject);
  });

/** Text on a socket: no HTTP client has less to do, and no service could use it. */
function bySocket(): Fetch {
  const socket = connect(Number(port), hostname).setNoDelay(true);
  let done: (body: Buffer) => void = () => undefined;
  let chunks: Buffer[] = [];
  let wanted = -1;
  let have = 0;
  socket.on('data', (data: Buffer) => {
    let chunk = data;
    if (wanted < 0) {
      const end = chunk.indexOf('\r\n\r\n');
      wanted = Number(/content-length: (\d+)/.exec(chunk.toString('latin1', 0, end))?.[1]);
      chunk = chunk.subarray(end + 4);
    }
    chunks.push(chunk);
    have += chunk.length;
    if (have < wanted) return;
    const body = whole(chunks);
    [chunks, wanted, have] = [[], -1, 0];
    done(body);
  });
  const lines = Object.entries(headers).map(([name, value]) => `${name}: ${value}\r\n`);
  return (number) =>
    new Promise((resolve) => {
      done = resolve;
      socket.write(`GET ${pathOf(number)} HTTP/1.1\r\nhost: ${hostname}:${port}\r\n${lines.join('')}\r\n`, 'latin1');
    });
}

const made = new Set<string>();
/** As the folder store does it: whole under another name, then in its place. */
function store(number: number, body: Buffer): void {
  const place = `${folder}/documentsReceived/A${Math.floor(number / 3)}/T${Math.floor(number / 3)}`;
  if (!made.has(place)) mkdirSync(place, { recursive: true });
  made.add(place);
  const temporary = `${folder}/${number}`;
  const file = openSync(temporary, 'wx');
  writeSync(file, body);
  closeSync(file);
  renameSync(temporary, `${place}/report.pdf`);
}

function outcomeOf(number: number, body: Buffer, sha256: string): Buffer {
  const now = new Date().toISOString();
  const names = { traceId: `T${number}`, mediaId: `M${number}`, attachmentUrl: base + pathOf(number) };
  const outcome = {
    ...names,
    status: 'completed',
    httpStatus: 200,
    bytesDownloaded: body.length,
    sha256,
    completedAt: now,
  };
  return Buffer.from(JSON.stringify(outcome));
}

const BODY = Buffer.alloc(20 * 1024, 'x');
const all = (fetch: Fetch) => async (number: number) => {
  const body = await fetch(number);
  const sha256 = hash('sha256', body, 'hex');
  store(number, body);
  return outcomeOf(number, body, sha256);
};
const hashed = (fetch: Fetch) => async (number: number) => void hash('sha256', await fetch(number), 'hex');
const WAYS: Readonly<Record<string, (() => (number: number) => Promise<unknown>) | undefined>> = {
  'undici request': () => byRequest,
  'undici request, hash': () => hashed(byRequest),
  'undici request, hash, file, outcome': () => all(byRequest),
  'undici dispatch': () => byExchange,
  'undici dispatch, hash': () => hashed(byExchange),
  'undici dispatch, hash, file, outcome': () => all(byExchange),
  'node:http, hash, file, outcome': () => all(byHttp),
  'bare socket, hash, file, outcome': () => all(bySocket()),
  'the hash alone': () => async () => hash('sha256', BODY, 'hex'),
  'the file alone': () => async (number) => store(number, BODY),
};

process.stdin.once('data', async () => {
  mkdirSync(folder, { recursive: true });
  const open = WAYS[way];
  if (!open) throw new Error(`there is no way "${way}"`);
  const since = performance.now();
  const before = process.cpuUsage();
  let next = 0;
  const lanes = Array.from({ length: Number(atOnce) }, async () => {
    const one = open();
    while (next < Number(files)) await one(next++);
  });
  await Promise.all(lanes);
  const { user, system } = process.cpuUsage(before);
  const seconds = (performance.now() - since) / 1000;
  process.stdout.write(
    `${JSON.stringify({ userUs: user / Number(files), systemUs: system / Number(files), seconds })}\n`,
  );
  process.exit(0);
});
process.stdout.write('ready\n');
