import { type ChildProcess, spawn } from 'node:child_process';
import { mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as pause } from 'node:timers/promises';
import { afterEach, beforeEach, describe, expect, onTestFinished, test } from 'vitest';
import { startProcess } from './process.ts';
import type { ManagedProcess } from './supervisor.ts';

/** A service as far as the supervisor can tell: logs, listens, drains on SIGTERM. */
const SERVICE = `
  console.log('starting, {"port": 1} is no line of ours');
  console.log(JSON.stringify({ level: 30, port: 1234, msg: 'assigned' }));
  process.stdout.write(JSON.stringify({ level: 30, port: 43210, msg: 'lis' }).slice(0, -2));
  setTimeout(() => process.stdout.write('tening"}\\n'), 30);
  process.on('SIGTERM', () => { console.log('drained'); process.exit(0); });
  setInterval(() => {}, 1000);
`;

async function until(met: () => boolean | Promise<boolean>): Promise<void> {
  const end = performance.now() + 20_000;
  while (!(await met())) {
    if (performance.now() > end) throw new Error('it never happened');
    await pause(20);
  }
}

describe('a service as a process', () => {
  let folder: string;
  let started: ManagedProcess | undefined;
  beforeEach(async () => {
    folder = await mkdtemp(join(tmpdir(), 'weir-process-'));
  });
  afterEach(async () => {
    started?.kill();
    await started?.exited;
    started = undefined;
    await rm(folder, { recursive: true });
  });

  async function start(code: string): Promise<ManagedProcess> {
    await writeFile(join(folder, 'service.mjs'), code);
    started = startProcess({
      args: [join(folder, 'service.mjs')],
      env: { PATH: process.env.PATH ?? '' },
      logPath: join(folder, 'service.log'),
    });
    return started;
  }

  test('tells its port on the line that says it listens, however the line is cut, and keeps a log', async () => {
    const service = await start(SERVICE);
    expect(service.metricsPort).toBeUndefined();
    await until(() => service.metricsPort !== undefined);
    expect(service.metricsPort).toBe(43210);
    service.terminate();
    expect(await service.exited).toEqual({ code: 0, signal: null, detail: '' });
    await until(async () => (await readFile(join(folder, 'service.log'), 'utf8')).includes('drained'));
  });

  test('that is killed, or dies of itself, says how', async () => {
    const killed = await start(SERVICE);
    await until(() => killed.metricsPort !== undefined);
    killed.kill();
    expect(await killed.exited).toMatchObject({ code: null, signal: 'SIGKILL' });
    const failing = await start("console.error('cannot'); process.exit(2);");
    expect(await failing.exited).toMatchObject({ code: 2 });
    await until(async () => (await readFile(join(folder, 'service.log'), 'utf8')).includes('cannot'));
  });

  test('ends when whoever started it is killed', async () => {
    await writeFile(join(folder, 'service.mjs'), SERVICE);
    const parent: ChildProcess = spawn(
      process.execPath,
      [
        '--conditions=source',
        '--input-type=module',
        '--eval',
        `import { startProcess } from ${JSON.stringify(new URL('./process.ts', import.meta.url).href)};
         const child = startProcess({ args: [${JSON.stringify(join(folder, 'service.mjs'))}], env: {}, logPath: ${JSON.stringify(join(folder, 'service.log'))} });
         setInterval(() => { if (child.metricsPort) console.log('pid ' + child.pid); }, 50);`,
      ],
      { stdio: ['ignore', 'pipe', 'inherit'] },
    );
    onTestFinished(() => void parent.kill('SIGKILL'));
    let said = '';
    parent.stdout!.on('data', (chunk: Buffer) => {
      said += chunk.toString();
    });
    await until(() => /pid \d+/.test(said));
    const pid = Number(/pid (\d+)/.exec(said)![1]);
    expect(alive(pid)).toBe(true);
    parent.kill('SIGKILL');
    await until(() => !alive(pid));
  });
});

function alive(pid: number): boolean {
  try {
    process.kill(pid, 0);
    return true;
  } catch {
    return false;
  }
}
