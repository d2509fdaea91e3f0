/**
 * The settings that every service with a store or a table shares, as fields for its own zod object, and what they mean
 * for `openStore` of @weir/storage. They are here because a service never imports another.
 */
import { z } from 'zod';

const blankIsMissing = (value: unknown) => (typeof value === 'string' && value.trim() === '' ? undefined : value);
const optional = () => z.preprocess(blankIsMissing, z.string().trim().optional());

/** A setting that names a store; `fallback` is where development keeps it. */
export const storeUrlSetting = (fallback: string, meaning: string) =>
  z.preprocess(
    blankIsMissing,
    z
      .string()
      .trim()
      .regex(/^(file:\/\/\/|s3:\/\/).+/, 'write file:///folder or s3://bucket/prefix')
      .default(fallback)
      .describe(`${meaning} \`file:///folder\` (made when missing) or \`s3://bucket/prefix\` (must exist).`),
  );

export const storeAccessSettings = {
  S3_ENDPOINT: optional().describe('Endpoint of an S3 store that is not AWS, e.g. `http://minio:9000`. Unset: AWS.'),
  AWS_REGION: optional().describe(
    'Region of the bucket. Unset: the AWS SDK’s own sources; `us-east-1` beside `S3_ENDPOINT`.',
  ),
  AWS_ACCESS_KEY_ID: optional().describe(
    'Access key. Unset: the AWS SDK’s own chain (profile, role of the pod or machine).',
  ),
  AWS_SECRET_ACCESS_KEY: optional().describe('Secret of the access key. Unset: as above.'),
  AWS_SESSION_TOKEN: optional().describe('Session token of temporary credentials. Unset: none.'),
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
