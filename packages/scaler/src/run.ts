/** The scaler from its environment: settings, topology, certificates, connection. main.ts is the process around it. */
import { readFileSync } from 'node:fs';
import { createLogger, describeError, systemClock } from '@weir/core';
import {
  ConfigError,
  type ConfigProblem,
  type Environment,
  readTopology,
  resolveKafka,
  withCertificates,
} from '@weir/sdk';
import { kafkajsPort } from '@weir/sdk/runtime';
import { type ScalerConfig, scalerConfig } from './config.ts';
import { Scaler } from './scaler.ts';

/**
 * Runs until the signal aborts.
 * @throws ConfigError, TopologyInvalidError, PortTakenError
 */
export async function runScaler(env: Environment, signal: AbortSignal): Promise<void> {
  const resolved = resolveKafka(env, { name: 'weir-scaler', config: scalerConfig });
  if (resolved.topologyPath === undefined)
    throw new ConfigError([problem('WEIR_TOPOLOGY', 'is required: the scaler answers for the workers of that file')]);
  const topology = readTopology(resolved.topologyPath);
  const tls = readTls(resolved.config);
  const log = createLogger({ name: 'scaler', level: resolved.logLevel });
  for (const warning of resolved.warnings) log.warn({}, warning);
  if (topology.prefix !== resolved.prefix && env.WEIR_TOPIC_PREFIX !== undefined)
    log.warn(
      { topology: topology.prefix, environment: resolved.prefix },
      'the topology’s prefix counts, not WEIR_TOPIC_PREFIX',
    );
  const clock = systemClock;
  const kafka = kafkajsPort({ settings: withCertificates(resolved.kafka), log, clock });
  const scaler = new Scaler({
    topology,
    admin: kafka.admin(),
    clock,
    log,
    intervalMs: resolved.scalingIntervalMs,
    grpcPort: resolved.config.SCALER_PORT,
    httpPort: resolved.metricsPort,
    ...(tls ? { tls } : {}),
  });
  await scaler.start();
  if (!signal.aborted) await new Promise((resolve) => signal.addEventListener('abort', resolve, { once: true }));
  await scaler.stop();
}

function readTls(config: ScalerConfig): { cert: string; key: string; ca?: string } | undefined {
  const { SCALER_TLS_CERT: cert, SCALER_TLS_KEY: key, SCALER_TLS_CA: ca } = config;
  const problems: ConfigProblem[] = [];
  if (cert === undefined && (key !== undefined || ca !== undefined))
    problems.push(problem('SCALER_TLS_CERT', 'is required with SCALER_TLS_KEY and SCALER_TLS_CA'));
  if (cert !== undefined && key === undefined)
    problems.push(problem('SCALER_TLS_KEY', 'is required with SCALER_TLS_CERT'));
  const read = (variable: string, path: string): string => {
    try {
      return readFileSync(path, 'utf8');
    } catch (error) {
      problems.push({ variable, given: path, message: `cannot be read: ${describeError(error)}` });
      return '';
    }
  };
  const texts =
    cert !== undefined && key !== undefined
      ? {
          cert: read('SCALER_TLS_CERT', cert),
          key: read('SCALER_TLS_KEY', key),
          ...(ca === undefined ? {} : { ca: read('SCALER_TLS_CA', ca) }),
        }
      : undefined;
  if (problems.length > 0) throw new ConfigError(problems);
  return texts;
}

function problem(variable: string, message: string): ConfigProblem {
  return { variable, given: undefined, message };
}
