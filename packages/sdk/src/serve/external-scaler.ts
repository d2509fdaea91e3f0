/**
 * KEDA's external scaler over gRPC: `IsActive`, `StreamIsActive`, `GetMetricSpec`, `GetMetrics`. One server answers for every
 * worker; the trigger's metadata says which (`worker: download-worker`).
 *
 * KEDA sets no deadline on these calls (2.21: a hung server hangs the query), so an answer comes from memory at once or
 * is an error; an error or an unknown worker makes the HPA hold, never scale in. gRPC is loaded when this starts, so
 * that workers, which do not serve it, do not pay 20 MB for it.
 */
import { fileURLToPath } from 'node:url';
import type * as grpcJs from '@grpc/grpc-js';
import { type Cancel, type Clock, type Logger, systemClock } from '@weir/core';
import { PortTakenError } from '../errors.ts';

/** What is asked of whoever plans: the number for KEDA, or why there is none. */
export type SignalReply =
  | { readonly status: 200; readonly body: { readonly signalValue: number } }
  | { readonly status: 503; readonly body: { readonly error: string } };

export interface ExternalScalerOptions {
  /** 0 picks a free one. */
  readonly port: number;
  /** By the worker's name. `answer` must not wait. */
  readonly views: ReadonlyMap<string, { answer(): SignalReply }>;
  readonly log: Logger;
  readonly clock?: Clock;
  /** PEM. With `ca`, clients must show a certificate of it. Without `tls` the connection is plain. */
  readonly tls?: { readonly cert: string; readonly key: string; readonly ca?: string };
  /** How often a stream looks for a change; 5 s unless told. */
  readonly streamIntervalMs?: number;
}

export interface ExternalScaler {
  readonly port: number;
  /** Ends streams, lets calls under way finish for a second. Safe twice. */
  stop(): Promise<void>;
}

/** KEDA shows it as `s0-weir`. */
export const METRIC_NAME = 'weir';

const PROTO = fileURLToPath(new URL('../../proto/externalscaler.proto', import.meta.url));
const STOP_WITHIN_MS = 1_000;

interface ScaledObjectRef {
  readonly name: string;
  readonly namespace: string;
  readonly scalerMetadata: Readonly<Record<string, string>>;
}

/** @throws PortTakenError when another process listens on the port */
export async function startExternalScaler(options: ExternalScalerOptions): Promise<ExternalScaler> {
  const grpc = await import('@grpc/grpc-js');
  const { loadSync } = await import('@grpc/proto-loader');
  const definition = loadSync(PROTO, { keepCase: true, longs: Number, defaults: true, arrays: true, objects: true });
  const service = definition['externalscaler.ExternalScaler'] as grpcJs.ServiceDefinition;
  const clock = options.clock ?? systemClock;
  const streams = new Set<() => void>();

  /** Adapts a function of the request: what it throws becomes the call's status. */
  const unary =
    <Request, Response>(answer: (request: Request) => Response): grpcJs.handleUnaryCall<Request, Response> =>
    (call, callback) => {
      try {
        callback(null, answer(call.request));
      } catch (error) {
        callback(refusalOf(grpc, error, options.log));
      }
    };

  const implementation: grpcJs.UntypedServiceImplementation = {
    IsActive: unary((ref: ScaledObjectRef) => ({ result: activeOf(options, ref) })),
    GetMetricSpec: unary((ref: ScaledObjectRef) => {
      // Known or not is decided here, so that a ScaledObject with a wrong name fails at once and says why.
      viewOf(options, ref);
      return { metricSpecs: [{ metricName: METRIC_NAME, targetSize: 1, targetSizeFloat: 1 }] };
    }),
    GetMetrics: unary((request: { scaledObjectRef: ScaledObjectRef | null; metricName: string }) => ({
      metricValues: [
        {
          metricName: request.metricName || METRIC_NAME,
          // The float is used when above zero, else this: so this is what 0 means.
          metricValue: 0,
          metricValueFloat: signalValueOf(options, request.scaledObjectRef),
        },
      ],
    })),
    StreamIsActive: (call: grpcJs.ServerWritableStream<ScaledObjectRef, { result: boolean }>) => {
      let told: boolean | undefined;
      let cancel: Cancel = () => undefined;
      const end = () => {
        cancel();
        streams.delete(end);
        call.end();
      };
      const look = () => {
        try {
          const active = activeOf(options, call.request);
          if (active !== told) call.write({ result: active });
          told = active;
        } catch (error) {
          if (error instanceof Unavailable && told !== undefined) return;
          cancel();
          streams.delete(end);
          call.emit('error', refusalOf(grpc, error, options.log));
        }
      };
      streams.add(end);
      cancel = clock.every(options.streamIntervalMs ?? 5_000, look);
      call.on('cancelled', end);
      look();
    },
  };

  const server = new grpc.Server({ 'grpc.max_receive_message_length': 64 * 1024 });
  server.addService(service, implementation);
  const port = await bind(server, options.port, credentialsOf(grpc, options.tls));
  let stopped: Promise<void> | undefined;
  return {
    port,
    stop: () => {
      stopped ??= new Promise((resolve) => {
        for (const end of [...streams]) end();
        const force = clock.after(STOP_WITHIN_MS, () => server.forceShutdown());
        server.tryShutdown(() => {
          force();
          resolve();
        });
      });
      return stopped;
    },
  };
}

/** The trigger names no worker, or one that is not in the topology. */
class UnknownWorker extends Error {}
/** There is no answer that could be acted on. */
class Unavailable extends Error {}

function viewOf(options: ExternalScalerOptions, ref: ScaledObjectRef | null): { answer(): SignalReply } {
  const worker = ref?.scalerMetadata?.worker;
  const known = [...options.views.keys()].sort().join(', ');
  const where = `ScaledObject ${ref?.namespace ?? ''}/${ref?.name ?? ''}`;
  if (!worker) throw new UnknownWorker(`${where}: the trigger's metadata must have "worker", one of: ${known}`);
  const view = options.views.get(worker);
  if (!view) throw new UnknownWorker(`${where}: there is no worker "${worker}" in the topology; it has: ${known}`);
  return view;
}

function signalValueOf(options: ExternalScalerOptions, ref: ScaledObjectRef | null): number {
  const reply = viewOf(options, ref).answer();
  if (reply.status !== 200) throw new Unavailable(reply.body.error);
  return reply.body.signalValue;
}

function activeOf(options: ExternalScalerOptions, ref: ScaledObjectRef): boolean {
  return signalValueOf(options, ref) > 0;
}

function refusalOf(grpc: typeof grpcJs, error: unknown, log: Logger): { code: grpcJs.status; details: string } {
  if (error instanceof UnknownWorker) return { code: grpc.status.INVALID_ARGUMENT, details: error.message };
  if (error instanceof Unavailable) return { code: grpc.status.UNAVAILABLE, details: error.message };
  log.error({ error }, 'a scaling question could not be answered');
  return { code: grpc.status.INTERNAL, details: 'this answer could not be made; the log says why' };
}

function credentialsOf(grpc: typeof grpcJs, tls: ExternalScalerOptions['tls']): grpcJs.ServerCredentials {
  if (!tls) return grpc.ServerCredentials.createInsecure();
  const pair = { cert_chain: Buffer.from(tls.cert), private_key: Buffer.from(tls.key) };
  return grpc.ServerCredentials.createSsl(tls.ca ? Buffer.from(tls.ca) : null, [pair], tls.ca !== undefined);
}

/** On every address of both families where the machine has both. */
async function bind(server: grpcJs.Server, port: number, credentials: grpcJs.ServerCredentials): Promise<number> {
  const on = (host: string): Promise<number> =>
    new Promise((resolve, reject) => {
      server.bindAsync(`${host}:${port}`, credentials, (error, bound) => (error ? reject(error) : resolve(bound)));
    });
  try {
    return await on('[::]').catch((error: Error) => {
      if (taken(error)) throw error;
      return on('0.0.0.0');
    });
  } catch (error) {
    throw taken(error as Error) ? new PortTakenError(port, { cause: error }) : error;
  }
}

function taken(error: Error): boolean {
  return /EADDRINUSE|address already in use/i.test(error.message);
}
