/** The command line as people start it: as a process, on this Node and on whatever Node the machine has. */
import { spawn } from 'node:child_process';
import { cp, mkdir, mkdtemp, rm, symlink } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';

const BIN = fileURLToPath(new URL('../bin/weir.js', import.meta.url));

interface Ended {
  readonly code: number | null;
  readonly out: string;
  readonly err: string;
}

function run(command: string, args: readonly string[], env: NodeJS.ProcessEnv = process.env): Promise<Ended> {
  return new Promise((resolve, reject) => {
    const child = spawn(command, args, { env, stdio: ['ignore', 'pipe', 'pipe'] });
    let out = '';
    let err = '';
    child.stdout.on('data', (chunk: Buffer) => {
      out += chunk.toString();
    });
    child.stderr.on('data', (chunk: Buffer) => {
      err += chunk.toString();
    });
    child.once('error', reject);
    child.once('close', (code) => resolve({ code, out, err }));
  });
}

/** The environment without what npm puts first on the path: the machine's own Node. */
const plainEnv: NodeJS.ProcessEnv = {
  ...process.env,
  PATH: (process.env.PATH ?? '')
    .split(':')
    .filter((folder) => !folder.includes('node_modules'))
    .join(':'),
};

const weir = (...args: string[]) => run(process.execPath, [BIN, ...args]);

describe('weir as a process', () => {
  test('says what there is', async () => {
    const { code, out } = await weir('--help');
    expect(code).toBe(0);
    for (const command of [
      'demo',
      'run',
      'source',
      'broker',
      'topics',
      'topology',
      'manifests',
      'plan',
      'explain',
      'dlq',
      'dev',
    ]) {
      expect(out).toContain(command);
    }
  });

  test('runs on the machine’s own Node, however old', async () => {
    const { code, out, err } = await run('/usr/bin/env', ['node', BIN, 'demo', '--help'], plainEnv);
    expect(err).toBe('');
    expect(code).toBe(0);
    expect(out).toContain('--events <count>');
  });

  test('wrong options name what was given and what is allowed, with exit code 2 and no stack', async () => {
    for (const [args, words] of [
      [['demo', '--events', 'many'], /--events must be a whole number from 1 to 1000000, not "many"/],
      [['demo', '--rate', '-1'], /--rate must be a number above 0/],
      [['demo', '--brokers', 'nowhere'], /--brokers must be a list of host:port/],
      [['run', 'teapot'], /there is no service "teapot"; there are event-ingester/],
      [['manifests'], /name workers, or say --all/],
      [['brew'], /unknown command 'brew'/],
    ] as const) {
      const { code, err } = await weir(...args);
      expect(err).toMatch(words);
      expect(err).not.toMatch(/^\s+at /m);
      expect(code).toBe(2);
    }
  });

  test('a folder that cannot be served is exit code 1, in words', async () => {
    const { code, err } = await weir('source', '--files', '/nowhere/at/all', '--brokers', '127.0.0.1:1');
    expect(err).toMatch(/folder \/nowhere\/at\/all cannot be served/);
    expect(code).toBe(1);
  });
});

describe('weir away from its sources', () => {
  let folder: string;
  beforeEach(async () => {
    folder = await mkdtemp(join(tmpdir(), 'weir-bin-'));
    await mkdir(join(folder, 'bin'));
    await cp(BIN, join(folder, 'bin', 'weir.js'));
    await cp(join(dirname(BIN), '..', 'package.json'), join(folder, 'package.json'));
  });
  afterEach(() => rm(folder, { recursive: true }));

  test('neither sources nor a build: says so', async () => {
    const { code, err } = await run(process.execPath, [join(folder, 'bin', 'weir.js')]);
    expect(code).toBe(2);
    expect(err).toContain('npm run build');
  });

  test('an old Node and no other to be found: says what is needed', async () => {
    await mkdir(join(folder, 'dist'));
    await symlink(BIN, join(folder, 'dist', 'main.js'));
    const old = await run('/usr/bin/env', ['node', '--version'], plainEnv);
    const major = Number(/^v(\d+)/.exec(old.out)?.[1] ?? 0);
    if (major === 0 || major >= 24) return;
    const { code, err } = await run('/usr/bin/env', ['node', join(folder, 'bin', 'weir.js')], plainEnv);
    expect(code).toBe(2);
    expect(err).toMatch(/weir needs Node 24 or later; this is v\d+/);
  });
});
