#!/usr/bin/env node
/**
 * `npx weir`, on whatever Node is there. Plain JavaScript that an old Node can read: it picks the sources when they are
 * beside it (a clone) and the built files otherwise, and when the running Node is too old for them it starts the Node 24
 * of the `node` package instead.
 */
import { spawn } from 'node:child_process';
import { existsSync } from 'node:fs';
import { dirname, join, resolve } from 'node:path';
import { fileURLToPath, pathToFileURL } from 'node:url';

const LEAST_MAJOR = 24;

const root = resolve(dirname(fileURLToPath(import.meta.url)), '..');
const source = join(root, 'src', 'main.ts');
const built = join(root, 'dist', 'main.js');
const fromSource = existsSync(source);
const main = fromSource ? source : built;

if (!existsSync(main)) {
  fail(`weir is not built: neither ${source} nor ${built} is there. Run "npm run build".`);
} else if (!fromSource && majorOf(process.versions.node) >= LEAST_MAJOR) {
  await import(pathToFileURL(main).href);
} else {
  // The sources need --conditions=source, which only a new process can have.
  const node = majorOf(process.versions.node) >= LEAST_MAJOR ? process.execPath : findNode();
  if (node === undefined) {
    fail(
      `weir needs Node ${LEAST_MAJOR} or later; this is ${process.version} (${process.execPath}).\n` +
        'The repository brings one: run "npm ci" in it, and make sure install scripts of the package "node" may run.',
    );
  } else {
    run(node);
  }
}

function majorOf(version) {
  return Number(version.split('.')[0]);
}

/** node_modules/node/bin/node, here or in any folder above. */
function findNode() {
  const name = process.platform === 'win32' ? 'node.exe' : 'node';
  for (let folder = root; ; folder = dirname(folder)) {
    const candidate = join(folder, 'node_modules', 'node', 'bin', name);
    if (existsSync(candidate)) return candidate;
    if (dirname(folder) === folder) return undefined;
  }
}

function run(node) {
  const child = spawn(node, [...(fromSource ? ['--conditions=source'] : []), main, ...process.argv.slice(2)], {
    stdio: 'inherit',
  });
  // The terminal sends Ctrl-C to both; a signal sent to us alone is passed on. Either way the child decides when to end.
  for (const signal of ['SIGINT', 'SIGTERM', 'SIGHUP']) {
    process.on(signal, () => {
      if (signal !== 'SIGINT' || !process.stdin.isTTY) child.kill(signal);
    });
  }
  child.once('error', (error) => fail(`${node} cannot be started: ${error.message}`));
  child.once('exit', (code, signal) => {
    if (signal === null) process.exitCode = code ?? 1;
    else {
      for (const each of ['SIGINT', 'SIGTERM', 'SIGHUP']) process.removeAllListeners(each);
      process.kill(process.pid, signal);
    }
  });
}

function fail(message) {
  process.stderr.write(`${message}\n`);
  process.exitCode = 2;
}
