/** The retry scheduler has no settings of its own: the topology (`WEIR_TOPOLOGY`) tells it everything. */
import { z } from 'zod';

export const retrySchedulerConfig = z.object({});
export type RetrySchedulerConfig = z.output<typeof retrySchedulerConfig>;
