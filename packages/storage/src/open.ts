/** From a URL to a store: `file:///folder` or `s3://bucket/prefix`. */
import { fileURLToPath } from 'node:url';
import { type Clock, type Logger, type Random, redactUrl, silentLogger, systemClock, systemRandom } from '@weir/core';
import { InvalidStoreUrlError } from './errors.ts';
import { openFolder } from './folder.ts';
import { checkKey } from './key.ts';
import { openS3, type S3Credentials } from './s3.ts';
import type { ObjectStore } from './store.ts';

export interface OpenStoreOptions {
  /** Of a store that is not AWS, such as http://minio:9000; requests are path style. Default: the variable S3_ENDPOINT. */
  readonly endpoint?: string;
  /** Default: AWS_REGION; us-east-1 when there is an endpoint. */
  readonly region?: string;
  /** Default: the AWS SDK's own chain (AWS_ACCESS_KEY_ID and friends, profile, role). */
  readonly credentials?: S3Credentials;
  /** Make the folder or the bucket when it is missing. Off: its absence is an error, as it may be a typing mistake. */
  readonly create?: boolean;
  /** Folder only: make writes survive a power cut. Off: they survive a killed process. */
  readonly fsync?: boolean;
  readonly env?: Readonly<Record<string, string | undefined>>;
  readonly clock?: Clock;
  readonly random?: Random;
  readonly log?: Logger;
}

/**
 * @throws InvalidStoreUrlError, BucketMissingError, StoreUnavailableError, StoreAccessDeniedError
 */
export async function openStore(url: string, options: OpenStoreOptions = {}): Promise<ObjectStore> {
  const parsed = parse(url);
  const { clock = systemClock, random = systemRandom, log = silentLogger, create = false } = options;
  if (parsed.protocol === 'file:') {
    return openFolder({ root: folderOf(parsed, url), create, fsync: options.fsync ?? false, clock, log });
  }
  const env = options.env ?? process.env;
  const endpoint = options.endpoint || env.S3_ENDPOINT || undefined;
  const region = options.region || env.AWS_REGION || env.AWS_DEFAULT_REGION || (endpoint ? 'us-east-1' : undefined);
  if (endpoint !== undefined && !/^https?:\/\/[^/]/.test(endpoint)) {
    throw new InvalidStoreUrlError(redactUrl(endpoint), 'an S3 endpoint starts with http:// or https://');
  }
  return openS3({
    ...bucketOf(parsed, url),
    endpoint,
    region,
    credentials: options.credentials,
    create,
    clock,
    random,
    log,
  });
}

function parse(url: string): URL {
  const shown = redactUrl(url);
  let parsed: URL;
  try {
    parsed = new URL(url);
  } catch {
    throw new InvalidStoreUrlError(shown, 'write file:///folder or s3://bucket/prefix');
  }
  if (parsed.protocol !== 'file:' && parsed.protocol !== 's3:') {
    throw new InvalidStoreUrlError(
      shown,
      `${parsed.protocol}// is not known; write file:///folder or s3://bucket/prefix`,
    );
  }
  if (parsed.username !== '' || parsed.password !== '') {
    throw new InvalidStoreUrlError(shown, 'credentials do not belong in it (AWS_ACCESS_KEY_ID, AWS_SECRET_ACCESS_KEY)');
  }
  if (parsed.search !== '' || parsed.hash !== '') throw new InvalidStoreUrlError(shown, 'it has a query or a fragment');
  return parsed;
}

function folderOf(parsed: URL, url: string): string {
  try {
    const path = fileURLToPath(parsed);
    return path.length > 1 && path.endsWith('/') ? path.slice(0, -1) : path;
  } catch (error) {
    throw new InvalidStoreUrlError(redactUrl(url), error instanceof Error ? error.message : 'it is not a path');
  }
}

function bucketOf(parsed: URL, url: string): { bucket: string; prefix: string } {
  const bucket = parsed.hostname;
  if (!/^[a-z0-9][a-z0-9.-]{1,61}[a-z0-9]$/.test(bucket) || parsed.port !== '') {
    throw new InvalidStoreUrlError(redactUrl(url), 'a bucket is 3 to 63 small letters, digits, dots and dashes');
  }
  const prefix = decodeURIComponent(parsed.pathname).replace(/^\/+|\/+$/g, '');
  if (prefix !== '') checkKey(prefix);
  return { bucket, prefix };
}
