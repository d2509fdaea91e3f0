/**
 * S3 and what speaks its protocol. The SDK is loaded by `openS3` only: importing @weir/storage costs no memory.
 *
 * Conditional creates are `PutObject` with `If-None-Match: *`. The SDK repeats a request whose answer it lost, and then
 * meets its own first attempt as a 412; a 5xx may also hide a write that did happen. So whenever the outcome is in doubt
 * the object is read back and compared: ours means won, another's means lost, absent means the failure is passed on.
 *
 * Checksums only WHEN_REQUIRED: the SDK's default trailers are refused by many stores that are not AWS.
 */
import { Readable } from 'node:stream';
import type { S3Client } from '@aws-sdk/client-s3';
import { type Cancel, type Clock, type Logger, type Random, redactUrl } from '@weir/core';
import {
  BucketMissingError,
  ObjectNotFoundError,
  PreconditionFailedError,
  StoreAccessDeniedError,
  StoreNotAtomicError,
  StoreRefusedError,
  StoreUnavailableError,
} from './errors.ts';
import { checkKey, checkPrefix } from './key.ts';
import { probeStore } from './probe.ts';
import { WatchedSource } from './source.ts';
import type { ByteRange, ObjectInfo, ObjectStore, PutOptions, PutStreamOptions } from './store.ts';

type Sdk = typeof import('@aws-sdk/client-s3');

/** One part in memory at a time: lib-storage keeps feeding its other workers after one of them failed. */
const PART_BYTES = 8 * 1024 * 1024;
/** 409 means that another conditional write of the key is under way; its outcome is known a moment later. */
const CONFLICT_ATTEMPTS = 6;
const CONFLICT_BACKOFF_MS = 40;
/** How long an aborted upload may take to clean up before its caller goes on without it. */
const ABORT_GRACE_MS = 2_000;

export interface S3Credentials {
  readonly accessKeyId: string;
  readonly secretAccessKey: string;
  readonly sessionToken?: string;
}

interface S3Options {
  readonly bucket: string;
  /** Without slashes at its ends; may be empty. */
  readonly prefix: string;
  readonly endpoint: string | undefined;
  readonly region: string | undefined;
  readonly credentials: S3Credentials | undefined;
  readonly create: boolean;
  readonly clock: Clock;
  readonly random: Random;
  readonly log: Logger;
}

/** @throws BucketMissingError when the bucket is not there and `create` is off */
export async function openS3(options: S3Options): Promise<ObjectStore> {
  const sdk = await import('@aws-sdk/client-s3');
  const client = new sdk.S3Client({
    ...(options.endpoint === undefined ? {} : { endpoint: options.endpoint, forcePathStyle: true }),
    ...(options.region === undefined ? {} : { region: options.region }),
    ...(options.credentials === undefined ? {} : { credentials: { ...options.credentials } }),
    requestChecksumCalculation: 'WHEN_REQUIRED',
    responseChecksumValidation: 'WHEN_REQUIRED',
    maxAttempts: 3,
    requestHandler: {
      connectionTimeout: 5_000,
      requestTimeout: 30_000,
      throwOnRequestTimeout: true,
      httpAgent: { maxSockets: 128 },
      httpsAgent: { maxSockets: 128 },
    },
  });
  const store = new S3Store(sdk, client, options);
  try {
    await store.open();
  } catch (error) {
    client.destroy();
    throw error;
  }
  return store;
}

interface SdkFailure {
  readonly name?: string;
  readonly $metadata?: { readonly httpStatusCode?: number; readonly attempts?: number };
}

const statusOf = (error: unknown) => (error as SdkFailure | null)?.$metadata?.httpStatusCode ?? 0;
const nameOf = (error: unknown) => (error as SdkFailure | null)?.name ?? '';

const DENIED = new Set([
  'AccessDenied',
  'InvalidAccessKeyId',
  'SignatureDoesNotMatch',
  'ExpiredToken',
  'InvalidToken',
  'CredentialsProviderError',
  'RequestTimeTooSkewed',
  'AllAccessDisabled',
]);

class S3Store implements ObjectStore {
  readonly location: string;
  readonly #sdk: Sdk;
  readonly #client: S3Client;
  readonly #options: S3Options;
  readonly #root: string;

  constructor(sdk: Sdk, client: S3Client, options: S3Options) {
    this.#sdk = sdk;
    this.#client = client;
    this.#options = options;
    this.#root = options.prefix === '' ? '' : `${options.prefix}/`;
    this.location = `s3://${options.bucket}${options.prefix === '' ? '' : `/${options.prefix}`}`;
  }

  /** The bucket must exist: a store that is merely out of reach is told apart from one that was never made. */
  async open(): Promise<void> {
    const bucket = { Bucket: this.#options.bucket };
    try {
      await this.#client.send(new this.#sdk.HeadBucketCommand(bucket));
    } catch (error) {
      if (statusOf(error) !== 404) throw this.#wrap('open', '', error);
      if (!this.#options.create) throw new BucketMissingError(this.location, { cause: error });
      await this.#createBucket();
    }
  }

  async get(key: string, options: { range?: ByteRange } = {}): Promise<Uint8Array> {
    checkKey(key);
    const { range } = options;
    if (range?.length === 0) return new Uint8Array(0);
    const end = range?.length === undefined ? '' : range.start + range.length - 1;
    try {
      const answer = await this.#client.send(
        new this.#sdk.GetObjectCommand({
          ...this.#at(key),
          ...(range ? { Range: `bytes=${range.start}-${end}` } : {}),
        }),
      );
      return answer.Body ? await answer.Body.transformToByteArray() : new Uint8Array(0);
    } catch (error) {
      // A range that starts at or past the end: nothing there, as a file would answer.
      if (range && statusOf(error) === 416) return new Uint8Array(0);
      throw this.#wrap('get', key, error);
    }
  }

  async head(key: string): Promise<ObjectInfo | undefined> {
    checkKey(key);
    try {
      const answer = await this.#client.send(new this.#sdk.HeadObjectCommand(this.#at(key)));
      return {
        key,
        bytes: answer.ContentLength ?? 0,
        modifiedAt: answer.LastModified?.getTime() ?? 0,
        ...(answer.ETag === undefined ? {} : { etag: answer.ETag }),
      };
    } catch (error) {
      if (statusOf(error) === 404 && nameOf(error) !== 'NoSuchBucket') return undefined;
      throw this.#wrap('head', key, error);
    }
  }

  async put(key: string, bytes: Uint8Array, options: PutOptions = {}): Promise<{ etag?: string }> {
    checkKey(key);
    for (let attempt = 1; ; attempt++) {
      try {
        return await this.#putOnce(key, bytes, options);
      } catch (error) {
        if (options.signal?.aborted) throw options.signal.reason;
        if (!options.ifNoneMatch) throw this.#wrap('put', key, error);
        const status = statusOf(error);
        if (status === 409 && attempt < CONFLICT_ATTEMPTS) {
          await this.#options.clock.sleep(this.#options.random.next() * CONFLICT_BACKOFF_MS * attempt);
          continue;
        }
        return await this.#settle(key, bytes, error);
      }
    }
  }

  async putStream(
    key: string,
    source: Readable | AsyncIterable<Uint8Array>,
    options: PutStreamOptions = {},
  ): Promise<{ bytes: number; etag?: string }> {
    checkKey(key);
    const { Upload } = await import('@aws-sdk/lib-storage');
    const watched = new WatchedSource(source, options);
    const body = Readable.from(watched, { objectMode: false });
    try {
      const upload = new Upload({
        client: this.#client,
        params: {
          ...this.#at(key),
          Body: body,
          ...(options.contentType === undefined ? {} : { ContentType: options.contentType }),
        },
        partSize: PART_BYTES,
        queueSize: 1,
      });
      const { ETag } = await this.#unlessAbandoned(upload.done(), options.signal);
      return { bytes: watched.bytes, ...(ETag === undefined ? {} : { etag: ETag }) };
    } catch (error) {
      watched.abandon();
      if (watched.failure) throw watched.failure.error;
      if (options.signal?.aborted) throw options.signal.reason;
      throw this.#wrap('putStream', key, error);
    } finally {
      body.destroy();
    }
  }

  async *list(prefix: string, options: { startAfter?: string } = {}): AsyncGenerator<ObjectInfo> {
    checkPrefix(prefix);
    let token: string | undefined;
    do {
      let page: import('@aws-sdk/client-s3').ListObjectsV2CommandOutput;
      try {
        page = await this.#client.send(
          new this.#sdk.ListObjectsV2Command({
            Bucket: this.#options.bucket,
            Prefix: this.#root + prefix,
            ...(options.startAfter === undefined ? {} : { StartAfter: this.#root + options.startAfter }),
            ...(token === undefined ? {} : { ContinuationToken: token }),
          }),
        );
      } catch (error) {
        throw this.#wrap('list', prefix, error);
      }
      for (const entry of page.Contents ?? []) {
        if (entry.Key === undefined || entry.Key.endsWith('/')) continue;
        yield {
          key: entry.Key.slice(this.#root.length),
          bytes: entry.Size ?? 0,
          modifiedAt: entry.LastModified?.getTime() ?? 0,
          ...(entry.ETag === undefined ? {} : { etag: entry.ETag }),
        };
      }
      token = page.IsTruncated ? page.NextContinuationToken : undefined;
    } while (token !== undefined);
  }

  async delete(key: string): Promise<void> {
    checkKey(key);
    try {
      await this.#client.send(new this.#sdk.DeleteObjectCommand(this.#at(key)));
    } catch (error) {
      if (statusOf(error) === 404 && nameOf(error) !== 'NoSuchBucket') return;
      throw this.#wrap('delete', key, error);
    }
  }

  url(key: string): string {
    checkKey(key);
    return `${this.location}/${key}`;
  }

  probe(): Promise<void> {
    return probeStore(this);
  }

  async close(): Promise<void> {
    this.#client.destroy();
  }

  /** An upload that is aborted cleans up after itself; one whose request does not come back is not waited for. */
  async #unlessAbandoned<T>(upload: Promise<T>, signal: AbortSignal | undefined): Promise<T> {
    if (!signal) return upload;
    const abandoned = Promise.withResolvers<never>();
    let cancel: Cancel = () => undefined;
    const arm = () => {
      cancel = this.#options.clock.after(ABORT_GRACE_MS, () => abandoned.reject(signal.reason));
    };
    if (signal.aborted) arm();
    else signal.addEventListener('abort', arm, { once: true });
    try {
      return await Promise.race([upload, abandoned.promise]);
    } finally {
      signal.removeEventListener('abort', arm);
      cancel();
    }
  }

  #at(key: string): { Bucket: string; Key: string } {
    return { Bucket: this.#options.bucket, Key: this.#root + key };
  }

  async #putOnce(key: string, bytes: Uint8Array, options: PutOptions): Promise<{ etag?: string }> {
    const { ETag } = await this.#client.send(
      new this.#sdk.PutObjectCommand({
        ...this.#at(key),
        Body: bytes,
        ContentLength: bytes.byteLength,
        ...(options.ifNoneMatch ? { IfNoneMatch: '*' } : {}),
        ...(options.contentType === undefined ? {} : { ContentType: options.contentType }),
      }),
      options.signal === undefined ? {} : { abortSignal: options.signal },
    );
    return ETag === undefined ? {} : { etag: ETag };
  }

  /** A conditional create that did not plainly succeed: whose bytes are there? */
  async #settle(key: string, bytes: Uint8Array, error: unknown): Promise<{ etag?: string }> {
    const status = statusOf(error);
    if (status === 501) {
      throw new StoreNotAtomicError(this.location, 0, 'it does not know If-None-Match', { cause: error });
    }
    const failure = this.#wrap('put', key, error);
    const lost = status === 412 || status === 409;
    if (!lost && !(failure instanceof StoreUnavailableError)) throw failure;
    const firstAnswer = ((error as SdkFailure).$metadata?.attempts ?? 1) <= 1;
    if (status === 412 && firstAnswer) throw new PreconditionFailedError(key, { cause: error });
    let there: Uint8Array;
    try {
      there = await this.get(key);
    } catch (readFailure) {
      if (readFailure instanceof ObjectNotFoundError) {
        throw lost ? new StoreUnavailableError(this.location, `put of ${key}`, error) : failure;
      }
      throw readFailure instanceof StoreUnavailableError ? failure : readFailure;
    }
    if (Buffer.compare(there, bytes) === 0) return {};
    throw new PreconditionFailedError(key, { cause: error });
  }

  async #createBucket(): Promise<void> {
    const region = await this.#client.config.region();
    // us-east-1 is the one region that must not be named.
    const elsewhere = this.#options.endpoint === undefined && region !== 'us-east-1';
    try {
      await this.#client.send(
        new this.#sdk.CreateBucketCommand({
          Bucket: this.#options.bucket,
          ...(elsewhere
            ? {
                CreateBucketConfiguration: {
                  LocationConstraint: region as import('@aws-sdk/client-s3').BucketLocationConstraint,
                },
              }
            : {}),
        }),
      );
    } catch (error) {
      if (nameOf(error) === 'BucketAlreadyOwnedByYou' || nameOf(error) === 'BucketAlreadyExists') return;
      throw this.#wrap('create bucket', '', error);
    }
    this.#options.log.info({ store: this.location }, 'bucket created');
  }

  #wrap(operation: string, key: string, error: unknown): unknown {
    if (
      typeof (error as { code?: unknown }).code === 'string' &&
      (error as { code: string }).code.startsWith('WEIR_')
    ) {
      return error;
    }
    const status = statusOf(error);
    const name = nameOf(error);
    const what = key === '' ? operation : `${operation} of ${key}`;
    const where =
      this.#options.endpoint === undefined ? this.location : `${this.location} at ${redactUrl(this.#options.endpoint)}`;
    if (name === 'NoSuchBucket') return new BucketMissingError(this.location, { cause: error });
    if (status === 404) return new ObjectNotFoundError(key, this.location, { cause: error });
    if (status === 401 || status === 403 || DENIED.has(name)) return new StoreAccessDeniedError(where, what, error);
    // No status: no answer at all (refused, reset, timed out, name not found).
    if (status === 0 || status === 408 || status === 429 || status === 409 || status >= 500) {
      return new StoreUnavailableError(where, what, error);
    }
    return new StoreRefusedError(where, what, error);
  }
}
