/** Every API that the broker has. What is not here is not advertised, and closes the connection that asks for it. */
import type { Draft, Message } from '../wire/layout.ts';
import { produce } from './00-produce.ts';
import { fetch } from './01-fetch.ts';
import { listOffsets } from './02-list-offsets.ts';
import { metadata } from './03-metadata.ts';
import { offsetCommit } from './08-offset-commit.ts';
import { offsetFetch } from './09-offset-fetch.ts';
import { findCoordinator } from './10-find-coordinator.ts';
import { joinGroup } from './11-join-group.ts';
import { heartbeat } from './12-heartbeat.ts';
import { leaveGroup } from './13-leave-group.ts';
import { syncGroup } from './14-sync-group.ts';
import { describeGroups } from './15-describe-groups.ts';
import { listGroups } from './16-list-groups.ts';
import { apiVersions } from './18-api-versions.ts';
import { createTopics } from './19-create-topics.ts';
import { deleteTopics } from './20-delete-topics.ts';
import { deleteRecords } from './21-delete-records.ts';
import { initProducerId } from './22-init-producer-id.ts';
import { offsetForLeaderEpoch } from './23-offset-for-leader-epoch.ts';
import { describeConfigs } from './32-describe-configs.ts';
import { alterConfigs } from './33-alter-configs.ts';
import { createPartitions } from './37-create-partitions.ts';
import { deleteGroups } from './42-delete-groups.ts';
import { incrementalAlterConfigs } from './44-incremental-alter-configs.ts';
import type { AdvertisedApi, Api } from './api.ts';

const ALL = {
  Produce: produce,
  Fetch: fetch,
  ListOffsets: listOffsets,
  Metadata: metadata,
  OffsetCommit: offsetCommit,
  OffsetFetch: offsetFetch,
  FindCoordinator: findCoordinator,
  JoinGroup: joinGroup,
  Heartbeat: heartbeat,
  LeaveGroup: leaveGroup,
  SyncGroup: syncGroup,
  DescribeGroups: describeGroups,
  ListGroups: listGroups,
  ApiVersions: apiVersions,
  CreateTopics: createTopics,
  DeleteTopics: deleteTopics,
  DeleteRecords: deleteRecords,
  InitProducerId: initProducerId,
  OffsetForLeaderEpoch: offsetForLeaderEpoch,
  DescribeConfigs: describeConfigs,
  AlterConfigs: alterConfigs,
  CreatePartitions: createPartitions,
  DeleteGroups: deleteGroups,
  IncrementalAlterConfigs: incrementalAlterConfigs,
} as const;

export type ApiName = keyof typeof ALL;
/** A decoded request of an API. */
export type RequestOf<Name extends ApiName> = Message<(typeof ALL)[Name]['request']>;
/** What may be answered to it; fields that are left out take their defaults. */
export type ResponseOf<Name extends ApiName> = Draft<Message<(typeof ALL)[Name]['response']>>;

/** An API whose messages are not known at compile time. */
export type AnyApi = Api<ApiName, Record<string, never>, Record<string, never>>;

export const APIS: readonly AnyApi[] = Object.values(ALL) as unknown as AnyApi[];

const BY_KEY = new Map(APIS.map((api) => [api.key, api]));

export function apiByKey(key: number): AnyApi | undefined {
  return BY_KEY.get(key);
}

export function isApiName(name: string): name is ApiName {
  return Object.hasOwn(ALL, name);
}

export const ADVERTISED: readonly AdvertisedApi[] = APIS.map((api) => ({
  apiKey: api.key,
  minVersion: api.versions[0],
  maxVersion: api.versions[1],
}));
