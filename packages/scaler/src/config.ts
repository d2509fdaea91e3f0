/**
 * Settings of the scaler. Connection, prefix, topology file, interval and metrics port are those of every process
 * (docs/configuration.md).
 */
import { z } from 'zod';

const path = z
  .string()
  .regex(/^\//, { error: 'must be the absolute path of a PEM file' })
  .optional()
  .meta({ allowed: 'absolute path of a PEM file' });

export const scalerConfig = z.object({
  SCALER_PORT: z.coerce
    .number({ error: 'must be a port number' })
    .int()
    .min(0)
    .max(65_535)
    .default(9_090)
    .describe('Port of the gRPC service that KEDA asks (`scalerAddress`); 0 picks a free one.'),
  SCALER_TLS_CERT: path.describe('Certificate of the gRPC service. With it the connection is encrypted.'),
  SCALER_TLS_KEY: path.describe('Key of that certificate.'),
  SCALER_TLS_CA: path.describe('Authority whose certificates KEDA must show. Set it for mutual TLS.'),
});

export type ScalerConfig = z.output<typeof scalerConfig>;
