/** What a broker tells its tests while it runs. */
import type { GroupState } from './groups/group.ts';
import type { Trimmed } from './log/memory.ts';

export interface CommitEvent {
  readonly group: string;
  readonly memberId: string;
  readonly generationId: number;
  readonly topic: string;
  readonly partition: number;
  readonly offset: number;
  readonly metadata: string;
  /** 0 when it was stored, else the code it was refused with. */
  readonly errorCode: number;
  /** Milliseconds since the epoch. */
  readonly at: number;
}

export type BrokerEvents = {
  /** A commit arrived, stored or refused, partition by partition and in order: the journal for invariant checks. */
  'offset:committed': [event: CommitEvent];
  'group:moved': [event: { group: string; from: GroupState; to: GroupState; generation: number; members: number }];
  'records:appended': [
    event: { topic: string; partition: number; baseOffset: number; records: number; bytes: number; repeated: boolean },
  ];
  /** Records went, to keep a bound. */
  'log:trimmed': [event: Trimmed];
  /** A frame was refused and its connection closed. */
  'connection:refused': [event: { node: number; remote: string; reason: string }];
};
