/**
 * Says why a broker does not let us in: a login that it refuses, a certificate that we do not trust, or nobody there at
 * all. Each has another remedy, and kafkajs words none of them. Names the user, never the secret.
 */
import { describeError } from '@weir/core';
import type { KafkaSettings } from '../config.ts';
import { BrokerUnreachableError } from '../errors.ts';

/** What Node's TLS says of a chain that does not end in a trusted certificate, or of a name that is not in it. */
const CERTIFICATE =
  /self.signed certificate|unable to (get|verify) .*(certificate|issuer)|certificate (has expired|is not yet valid)|altnames|does not match certificate|CERT_|ERR_TLS_CERT/i;

/** @param error  what kafkajs threw while connecting */
export function describeAccess(settings: KafkaSettings, error: unknown): Error {
  const detail = describeError(error);
  const brokers = settings.brokers.join(', ');
  if (isAuthentication(error)) {
    const { sasl } = settings;
    const who = sasl ? `user "${sasl.username}" by ${sasl.mechanism}` : 'a client without a login';
    const fix = 'check KAFKA_SASL_USERNAME, KAFKA_SASL_PASSWORD and KAFKA_SASL_MECHANISM';
    return new Error(`${brokers} refuses ${who}: ${detail}; ${fix}`, { cause: error });
  }
  if (CERTIFICATE.test(detail)) {
    const fix = 'set KAFKA_SSL_CA to the certificate of its authority, and use a broker name that its certificate has';
    return new Error(`the certificate of ${brokers} is not trusted: ${detail}; ${fix}`, { cause: error });
  }
  return new BrokerUnreachableError(settings.brokers, detail, { cause: error });
}

function isAuthentication(error: unknown): boolean {
  let current: unknown = error;
  for (let depth = 0; depth < 6 && current instanceof Error; depth++) {
    if (/SASL/i.test(current.name) || /SASL .*authentication failed/i.test(current.message)) return true;
    current = current.cause;
  }
  return false;
}
