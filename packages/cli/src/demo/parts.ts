/**
 * What the pipeline stands on: Kafka and an object store. Without anything given these are the dev broker in this
 * process and a folder; with `--brokers` and `S3_ENDPOINT` they are real, and the rest of the demo does not notice.
 */
import { mkdir } from 'node:fs/promises';
import { join } from 'node:path';
import { pathToFileURL } from 'node:url';
import type { Clock, Logger } from '@weir/core';
import { startBroker } from '@weir/dev-broker';
import { type ObjectStore, openStore } from '@weir/storage';

export interface Parts {
  /** host:port, separated by commas. */
  readonly brokers: string;
  /** In words: what Kafka is this time. */
  readonly kafka: string;
  readonly storeUrl: string;
  readonly tablesUrl: string;
  readonly blobs: ObjectStore;
  readonly tables: ObjectStore;
  /** Local folder of the tables; undefined when they are in a bucket. */
  readonly tablesFolder: string | undefined;
  stop(): Promise<void>;
}

export async function openParts(options: {
  out: string;
  run: string;
  brokers: string | undefined;
  env: Readonly<Record<string, string | undefined>>;
  clock: Clock;
  log: Logger;
}): Promise<Parts> {
  const { out, run, env, clock, log } = options;
  const inBucket = Boolean(env.S3_ENDPOINT);
  const url = (part: string) => (inBucket ? `s3://weir-${run}/${part}` : pathToFileURL(join(out, part)).href);
  if (!inBucket) {
    await mkdir(join(out, 'blobs'), { recursive: true });
    await mkdir(join(out, 'tables'), { recursive: true });
  }
  const [storeUrl, tablesUrl] = [url('blobs'), url('tables')];
  const blobs = await openStore(storeUrl, { env, clock, log, create: true });
  const tables = await openStore(tablesUrl, { env, clock, log, create: true });
  const broker = options.brokers === undefined ? await startBroker({ clock, log }) : undefined;
  return {
    brokers: options.brokers ?? broker!.brokers.join(','),
    kafka: broker ? 'the dev broker in this process' : 'yours',
    storeUrl,
    tablesUrl,
    blobs,
    tables,
    tablesFolder: inBucket ? undefined : join(out, 'tables'),
    stop: async () => {
      await blobs.close();
      await tables.close();
      await broker?.stop();
    },
  };
}
