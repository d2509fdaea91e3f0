/** The scaler as a process: SIGTERM and SIGINT end it; exit codes are 0 (clean), 1 (crash), 2 (cannot be configured so). */
import { describeError, redactText } from '@weir/core';
import { ConfigError, PortTakenError, TopologyInvalidError } from '@weir/sdk';
import { runScaler } from './run.ts';

const stop = new AbortController();
for (const name of ['SIGTERM', 'SIGINT'] as const) process.once(name, () => stop.abort(new Error(name)));
try {
  await runScaler(process.env, stop.signal);
  process.exit(0);
} catch (error) {
  const wrong = [ConfigError, TopologyInvalidError, PortTakenError].some((kind) => error instanceof kind);
  process.stderr.write(`scaler: ${redactText(wrong ? (error as Error).message : describeError(error))}\n`);
  process.exit(wrong ? 2 : 1);
}
