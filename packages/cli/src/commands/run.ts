/** `weir run SERVICE`: the service in a process of its own, its output and its exit code ours. */
import { spawn } from 'node:child_process';
import type { Command } from 'commander';
import { SERVICE_NAMES, serviceNamed, startArguments } from '../services.ts';

export function addRun(program: Command): void {
  program
    .command('run')
    .description('run one service in the foreground; its settings come from the environment')
    .argument('<service>', `one of ${SERVICE_NAMES.join(', ')}`)
    .action(async (name: string) => {
      const child = spawn(process.execPath, startArguments(serviceNamed(name)), { stdio: 'inherit' });
      const passOn = (signal: NodeJS.Signals) => void child.kill(signal);
      // A terminal sends Ctrl-C to the whole group: the service has it already.
      const ignore = () => undefined;
      process.on('SIGINT', process.stdin.isTTY ? ignore : passOn);
      process.on('SIGTERM', passOn);
      process.on('SIGHUP', passOn);
      process.exitCode = await new Promise<number>((resolve, reject) => {
        child.once('error', reject);
        child.once('exit', (code, signal) => resolve(code ?? (signal === null ? 1 : 128 + 15)));
      });
    });
}
