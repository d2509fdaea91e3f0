/** Settings of the dlq-handler: where the table of dead letters lives. */
import { storeAccessSettings, storeUrlSetting } from '@weir/contracts';
import { z } from 'zod';

export const dlqHandlerConfig = z.object({
  TABLES_URL: storeUrlSetting(
    'file:///tmp/weir/tables',
    'Where the tables are; `dead_letters` is a folder in it. The same for all services.',
  ),
  ...storeAccessSettings,
});
export type DlqHandlerConfig = z.output<typeof dlqHandlerConfig>;
