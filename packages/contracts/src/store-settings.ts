/**
 * The settings that every service with a store or a table shares, as fields for its own zod object, and what they mean
 * for `openStore` of @weir/storage. They are here because a service never imports another.
 */
import { z } from 'zod';

const STORE_URL = /^(file:\/\/\/|s3:\/\/).+/;
const ALLOWED = '`file:///folder` (made when missing) or `s3://bucket/prefix` (the bucket must exist)';

/** A setting that names a store; `fallback` is where development keeps it. */
export const storeUrlSetting = (fallback: string, meaning: string) =>
  z
    .string()
    .regex(STORE_URL, 'must be file:///folder or s3://bucket/prefix')
    .default(fallback)
    .meta({ allowed: ALLOWED })
    .describe(meaning);

export const storeAccessSettings = {
  S3_ENDPOINT: z
    .string()
    .regex(/^https?:\/\/[^/]/, 'must start with http:// or https://')
    .optional()
    .meta({ allowed: 'a URL', default: 'AWS' })
    .describe('Endpoint of an S3 store that is not AWS, e.g. `http://minio:9000`.'),
  AWS_REGION: z
    .string()
    .optional()
    .meta({ default: 'the AWS SDK’s own sources; `us-east-1` beside `S3_ENDPOINT`' })
    .describe('Region of the bucket.'),
  AWS_ACCESS_KEY_ID: z
    .string()
    .optional()
    .meta({ secret: true, default: 'the AWS SDK’s own chain' })
    .describe('Access key; goes with AWS_SECRET_ACCESS_KEY. Leave unset where a profile or a role gives access.'),
  AWS_SECRET_ACCESS_KEY: z.string().optional().meta({ secret: true }).describe('Secret of that access key.'),
  AWS_SESSION_TOKEN: z
    .string()
    .optional()
    .meta({ secret: true })
    .describe('Session token, with temporary credentials only.'),
};

interface StoreAccess {
  readonly S3_ENDPOINT?: string | undefined;
  readonly AWS_REGION?: string | undefined;
  readonly AWS_ACCESS_KEY_ID?: string | undefined;
  readonly AWS_SECRET_ACCESS_KEY?: string | undefined;
  readonly AWS_SESSION_TOKEN?: string | undefined;
}

/** Options of `openStore` for one URL. A folder is made when missing; a bucket is not, as its name may be mistyped. */
export function storeAccess(url: string, settings: StoreAccess) {
  const { AWS_ACCESS_KEY_ID: accessKeyId, AWS_SECRET_ACCESS_KEY: secretAccessKey } = settings;
  return {
    create: url.startsWith('file:'),
    ...(settings.S3_ENDPOINT ? { endpoint: settings.S3_ENDPOINT } : {}),
    ...(settings.AWS_REGION ? { region: settings.AWS_REGION } : {}),
    ...(accessKeyId && secretAccessKey
      ? {
          credentials: {
            accessKeyId,
            secretAccessKey,
            ...(settings.AWS_SESSION_TOKEN ? { sessionToken: settings.AWS_SESSION_TOKEN } : {}),
          },
        }
      : {}),
  };
}
