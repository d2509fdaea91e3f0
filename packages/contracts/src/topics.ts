/**
 * The pipeline's topics, without the prefix. Retry and dead-letter topics are not here: they follow from the workers'
 * declarations. The partition counts are public: the key decides the partition, and once-only rows depend on it.
 */
import { topic } from '@weir/sdk';
import { DownloadResult, DownloadTask } from './download.ts';
import { Event } from './event.ts';

/** Events from outside. */
export const eventsRaw = topic('events.raw', Event, { partitions: 12, key: (event) => event.traceId });

/** One task per attachment. */
export const downloadsPending = topic('downloads.pending', DownloadTask, {
  partitions: 24,
  key: (task) => task.mediaId,
});

/** One result per final outcome of a readable task. */
export const downloadsResults = topic('downloads.results', DownloadResult, {
  partitions: 6,
  key: (result) => result.mediaId,
});
