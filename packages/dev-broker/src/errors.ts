/** What the broker's own API can throw, and what is wrong with a frame that ends a connection. */
import { type ErrorEntry, WeirError } from '@weir/core';

export const ERRORS = {
  WEIR_BROKER_PORT_TAKEN: {
    fix: 'Stop what listens there, or choose another port (`--port`); port 0 takes a free one.',
  },
  WEIR_BROKER_OPTION_INVALID: { fix: 'Correct the named option; packages/dev-broker/README.md lists them.' },
  WEIR_BROKER_FRAME_MALFORMED: {
    fix: 'The client sent bytes that are no Kafka request; check that it speaks Kafka without TLS to this port.',
  },
} as const satisfies Record<string, ErrorEntry>;

/** A port that was asked for is not free. */
export class PortTakenError extends WeirError {
  readonly host: string;
  readonly port: number;
  constructor(host: string, port: number, cause: unknown) {
    super('WEIR_BROKER_PORT_TAKEN', `cannot listen on ${host}:${port}: another process has this port`, { cause });
    this.host = host;
    this.port = port;
  }
}

/** An option or the target of a fault makes no sense. */
export class BrokerOptionError extends WeirError {
  readonly option: string;
  constructor(option: string, message: string) {
    super('WEIR_BROKER_OPTION_INVALID', `${option}: ${message}`);
    this.option = option;
  }
}

/** Bytes that are no Kafka request; the connection is closed, as Kafka does. */
export class MalformedFrameError extends WeirError {
  constructor(message: string) {
    super('WEIR_BROKER_FRAME_MALFORMED', message);
  }
}
