/**
 * One logger for all of Weir: pino, JSON lines, secrets removed from known fields and from every message and error.
 * A logger is passed in, never imported as a global.
 */
import { type DestinationStream, pino } from 'pino';
import { redactText, redactUrl } from './redact.ts';

export interface Logger {
  debug(fields: object, message?: string): void;
  info(fields: object, message?: string): void;
  warn(fields: object, message?: string): void;
  error(fields: object, message?: string): void;
  child(fields: object): Logger;
}

export type LogLevel = 'debug' | 'info' | 'warn' | 'error' | 'silent';

const SECRET_KEYS = ['password', 'secret', 'token', 'authorization', 'sasl', 'secretAccessKey', 'accessKeyId'];

function serializeError(error: unknown): unknown {
  if (!(error instanceof Error)) return redactText(String(error));
  const code = (error as { code?: unknown }).code;
  return {
    type: error.name,
    message: redactText(error.message),
    ...(typeof code === 'string' ? { code } : {}),
    stack: redactText(error.stack ?? ''),
    ...(error.cause === undefined ? {} : { cause: serializeError(error.cause) }),
  };
}

/**
 * @param options.destination  where lines go; standard output when absent
 */
export function createLogger(options: {
  name: string;
  level?: LogLevel;
  destination?: DestinationStream;
  fields?: object;
}): Logger {
  return pino(
    {
      name: options.name,
      level: options.level ?? 'info',
      base: { ...options.fields },
      redact: {
        paths: SECRET_KEYS.flatMap((key) => [key, `*.${key}`, `*.*.${key}`]),
        censor: '[redacted]',
      },
      serializers: { error: serializeError, err: serializeError, url: (url: unknown) => redactUrl(String(url)) },
      hooks: {
        logMethod(args, method) {
          const last = args.length - 1;
          if (typeof args[last] === 'string') args[last] = redactText(args[last]);
          method.apply(this, args);
        },
      },
    },
    ...(options.destination ? [options.destination] : []),
  );
}

const nothing = () => undefined;
/** Logs nothing; the default in tests. */
export const silentLogger: Logger = {
  debug: nothing,
  info: nothing,
  warn: nothing,
  error: nothing,
  child: () => silentLogger,
};
