/**
 * What a record takes along on its way back: how often it failed, since when, from where. Only known headers, and the
 * group is the retry topic's owner whatever the header said, so that a retry reaches the worker that asked for it and no
 * other group on the original topic.
 */
import { HEADER } from '@weir/sdk';

const KEPT = [
  HEADER.schema,
  HEADER.attempt,
  HEADER.firstSeen,
  HEADER.origin,
  HEADER.replays,
  HEADER.parked,
  HEADER.errorClass,
  HEADER.error,
] as const;

export function forwardedStory(story: Readonly<Record<string, string>>, group: string): Record<string, string> {
  const kept: Record<string, string> = { [HEADER.group]: group };
  for (const name of KEPT) if (story[name] !== undefined) kept[name] = story[name];
  return kept;
}
