/**
 * A real S3 server for tests: `S3_ENDPOINT` when set (with AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY); else S3Proxy
 * from Maven Central, cached under ~/.cache/weir, in memory, on a free port (Java 17). When neither can be had the tests
 * that need it are skipped with one loud line, or fail when WEIR_REQUIRE_REAL=1.
 */
import { type ChildProcess, execFile, spawn } from 'node:child_process';
import { createHash, randomUUID } from 'node:crypto';
import { once } from 'node:events';
import { createReadStream } from 'node:fs';
import { mkdir, mkdtemp, readdir, rename, rm, stat, writeFile } from 'node:fs/promises';
import { createServer } from 'node:net';
import { homedir, tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as wait } from 'node:timers/promises';
import { promisify } from 'node:util';
import { lock } from './lock.ts';

const run = promisify(execFile);

const VERSION = '4.0.0';
const ARTIFACT = `org.gaul:s3proxy:${VERSION}:jar:jar-with-dependencies`;
const SHA256 = '8842c29ef4cf50c2488cff1da23df3428526c10905998384586e916cc98a2c67';
const CACHE = join(homedir(), '.cache', 'weir');
/** Longer than any download takes. */
const LOCK_STALE_MS = 360_000;
const JAR = join(CACHE, `s3proxy-${VERSION}-jar-with-dependencies.jar`);

export interface S3Server {
  readonly endpoint: string;
  readonly credentials: { readonly accessKeyId: string; readonly secretAccessKey: string };
  /** Makes a bucket of its own for the caller and gives its name. */
  bucket(): Promise<string>;
  /** Of a server of our own. */
  readonly pid?: number | undefined;
  /** Safe twice. */
  stop(): Promise<void>;
}

/** Undefined (after one loud line) when there is no way to run one here. */
export async function startS3(): Promise<S3Server | undefined> {
  const endpoint = process.env.S3_ENDPOINT;
  if (endpoint) {
    const credentials = {
      accessKeyId: process.env.AWS_ACCESS_KEY_ID ?? '',
      secretAccessKey: process.env.AWS_SECRET_ACCESS_KEY ?? '',
    };
    return { endpoint, credentials, bucket: () => makeBucket(endpoint, credentials), stop: async () => undefined };
  }
  try {
    return await startS3Proxy(await jar());
  } catch (error) {
    const reason = error instanceof Error ? error.message.split('\n')[0] : String(error);
    if (process.env.WEIR_REQUIRE_REAL === '1')
      throw new Error(`a real S3 is required here: ${reason}`, { cause: error });
    console.warn(`SKIPPED: no real S3 for these tests (${reason}); set S3_ENDPOINT, or install Java 17 and Maven`);
    return undefined;
  }
}

async function startS3Proxy(jarPath: string): Promise<S3Server> {
  const credentials = { accessKeyId: 'local-identity', secretAccessKey: randomUUID() };
  const folder = await mkdtemp(join(tmpdir(), 'weir-s3proxy-'));
  let problem = '';
  // A port that was free a moment ago may be taken by now: a few tries.
  for (let attempt = 0; attempt < 4; attempt++) {
    const endpoint = `http://127.0.0.1:${await freePort()}`;
    const configuration = join(folder, `s3proxy-${attempt}.conf`);
    await writeFile(
      configuration,
      [
        `s3proxy.endpoint=${endpoint}`,
        's3proxy.authorization=aws-v2-or-v4',
        `s3proxy.identity=${credentials.accessKeyId}`,
        `s3proxy.credential=${credentials.secretAccessKey}`,
        'jclouds.provider=transient-nio2',
        'jclouds.identity=none',
        'jclouds.credential=none',
      ].join('\n'),
      { mode: 0o600 },
    );
    const server = spawn('java', ['-Xmx512m', '-jar', jarPath, '--properties', configuration], {
      stdio: ['ignore', 'pipe', 'pipe'],
    });
    const lines: string[] = [];
    for (const stream of [server.stdout, server.stderr]) {
      stream.on('data', (data: Buffer) => {
        lines.push(data.toString());
        if (lines.length > 40) lines.shift();
      });
    }
    const killed = () => server.kill('SIGKILL');
    process.once('exit', killed);
    const stop = async () => {
      process.off('exit', killed);
      await end(server);
      await rm(folder, { recursive: true, force: true });
    };
    if (await answers(endpoint, server)) {
      return { endpoint, credentials, bucket: () => makeBucket(endpoint, credentials), pid: server.pid, stop };
    }
    process.off('exit', killed);
    await end(server);
    problem = lines.join('').trim().split('\n').at(-1) ?? '';
  }
  await rm(folder, { recursive: true, force: true });
  throw new Error(`S3Proxy does not start: ${problem}`);
}

async function end(server: ChildProcess): Promise<void> {
  if (server.exitCode !== null || server.signalCode !== null || server.pid === undefined) return;
  const ended = once(server, 'exit');
  server.kill('SIGKILL');
  await ended;
}

async function answers(endpoint: string, server: ChildProcess): Promise<boolean> {
  let failed = false;
  server.once('error', () => {
    failed = true;
  });
  for (let waitedMs = 0; waitedMs < 60_000; waitedMs += 100) {
    if (failed || server.exitCode !== null) return false;
    try {
      // Any answer will do: without a signature it is 403.
      await (await fetch(endpoint, { signal: AbortSignal.timeout(1_000) })).arrayBuffer();
      return true;
    } catch {
      await wait(100);
    }
  }
  return false;
}

async function makeBucket(endpoint: string, credentials: S3Server['credentials']): Promise<string> {
  const { CreateBucketCommand, S3Client } = await import('@aws-sdk/client-s3');
  const client = new S3Client({ endpoint, credentials, region: 'us-east-1', forcePathStyle: true });
  const bucket = `weir-test-${randomUUID()}`;
  try {
    await client.send(new CreateBucketCommand({ Bucket: bucket }));
  } finally {
    client.destroy();
  }
  return bucket;
}

async function freePort(): Promise<number> {
  const server = createServer().listen(0, '127.0.0.1');
  await once(server, 'listening');
  const address = server.address();
  server.close();
  await once(server, 'close');
  if (address === null || typeof address === 'string') throw new Error('no free port');
  return address.port;
}

async function sha256(path: string): Promise<string> {
  const hash = createHash('sha256');
  for await (const chunk of createReadStream(path)) hash.update(chunk);
  return hash.digest('hex');
}

const exists = (path: string) =>
  stat(path).then(
    () => true,
    () => false,
  );

/** The jar, downloaded once however many test processes ask for it at the same time. */
async function jar(): Promise<string> {
  await run('java', ['-version']);
  if (await exists(JAR)) return JAR;
  await mkdir(CACHE, { recursive: true });
  const unlock = await lock(`${JAR}.lock`, LOCK_STALE_MS);
  try {
    if (await exists(JAR)) return JAR;
    const download = await mkdtemp(join(CACHE, 's3proxy-download-'));
    try {
      await run('mvn', ['-q', '-B', 'dependency:copy', `-Dartifact=${ARTIFACT}`, `-DoutputDirectory=${download}`], {
        timeout: 300_000,
        cwd: download,
      });
      const [name] = (await readdir(download)).filter((file) => file.endsWith('.jar'));
      if (name === undefined) throw new Error(`Maven gave no jar for ${ARTIFACT}`);
      const got = await sha256(join(download, name));
      if (got !== SHA256) throw new Error(`${name} has SHA-256 ${got}, not ${SHA256}`);
      await rename(join(download, name), JAR);
    } finally {
      await rm(download, { recursive: true, force: true });
    }
    return JAR;
  } finally {
    await unlock();
  }
}
