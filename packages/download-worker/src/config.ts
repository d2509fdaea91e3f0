/**
 * Settings of the download worker: what differs between environments. What scales, retries or orders is in worker.ts.
 * The safe answer is always the default; each `ALLOW_*` widens it.
 */
import { storeAccessSettings, storeUrlSetting } from '@weir/contracts';
import { z } from 'zod';
import { KNOWN_FILE_TYPES } from './file-types.ts';

export const DEFAULT_DOMAINS = [
  'usw2-prod-xn-exportreceiver-publish.s3.us-west-2.amazonaws.com',
  'claimxperience.s3.amazonaws.com',
  'claimxperience.s3.us-east-1.amazonaws.com',
  'www.claimxperience.com',
  'claimxperience.com',
  'xactware-claimx-us-prod.s3.us-west-1.amazonaws.com',
];

// A variable that is blank counts as not set: `resolve` sees to that for every service.

const list = (fallback: readonly string[], check: (entry: string) => boolean, allowed: string) =>
  z
    .string()
    .default(fallback.join(','))
    .transform((value) => [
      ...new Set(
        value
          .toLowerCase()
          .split(/[\s,]+/)
          .filter((entry) => entry !== ''),
      ),
    ])
    .refine((entries) => entries.length > 0 && entries.every(check), `must be ${allowed}`)
    .meta({ allowed });

const flag = () =>
  z
    .string()
    .default('false')
    .transform(
      (value) => ({ true: true, yes: true, '1': true, false: false, no: false, '0': false })[value.toLowerCase()],
    )
    .refine((value): value is boolean => value !== undefined, 'must be true or false')
    .meta({ allowed: 'true, false' });

const whole = (least: number, most: number, fallback: number) => {
  const error = `must be a whole number from ${least} to ${most}`;
  return z.coerce.number({ error }).int({ error }).min(least, { error }).max(most, { error }).default(fallback);
};

const HOST = /^(\*|(\*\.)?[a-z0-9_]([a-z0-9_.-]*[a-z0-9_])?|\[[0-9a-f:.]+\])$/;

export const downloadConfig = z.object({
  STORE_URL: storeUrlSetting('file:///tmp/weir/blobs', 'Where attachments are stored.'),
  ...storeAccessSettings,
  ALLOWED_ATTACHMENT_DOMAINS: list(
    DEFAULT_DOMAINS,
    (entry) => HOST.test(entry),
    'host names by commas, each exact or `*.suffix`; or `*`',
  ).describe(
    'Hosts that may be downloaded from; `*.suffix` is every host under it, `*` any host. Add the hosts of your attachments.',
  ),
  ALLOW_HTTP: flag().describe(
    'Takes `http:` beside `https:`. For tests and the demo; in production anybody on the way could read and change the files.',
  ),
  ALLOWED_PORTS: list(
    ['443'],
    (entry) => entry === '*' || (/^\d{1,5}$/.test(entry) && Number(entry) >= 1 && Number(entry) <= 65_535),
    'ports by commas; or `*`',
  ).describe('Ports that may be connected to. `ALLOW_HTTP` needs 80 here as well.'),
  ALLOW_PRIVATE_ADDRESSES: flag().describe(
    'Connects to loopback, private and link-local addresses too. For tests and the demo only: in production it opens the cluster to whoever writes events.',
  ),
  MAX_FILE_BYTES: whole(1, Number.MAX_SAFE_INTEGER, 1024 ** 3)
    .meta({ allowed: '1 or more' })
    .describe('Largest file, bytes; by header and by count. A larger one is refused for good.'),
  ALLOWED_FILE_TYPES: list(
    KNOWN_FILE_TYPES,
    (entry) => entry === '*' || KNOWN_FILE_TYPES.includes(entry),
    `of these, by commas: ${KNOWN_FILE_TYPES.join(' ')}; or \`*\``,
  ).describe(
    'File types (extensions) that are taken; content type and first bytes must agree. `*` takes anything, unchecked.',
  ),
  DOWNLOAD_TIMEOUT_MS: whole(1000, 270_000, 240_000).describe(
    'Limit for one transfer, ms; past it the record is retried. The handler’s own limit is 5 minutes.',
  ),
  DOWNLOAD_IDLE_TIMEOUT_MS: whole(100, 120_000, 30_000).describe(
    'Longest wait for a connection’s answer or its next bytes, ms. Past it the host counts as failing.',
  ),
  DOWNLOAD_CONNECT_TIMEOUT_MS: whole(100, 60_000, 10_000).describe(
    'Longest wait for a connection, ms. Raise for hosts far away.',
  ),
});
export type DownloadConfig = z.output<typeof downloadConfig>;
