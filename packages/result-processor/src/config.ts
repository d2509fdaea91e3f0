/** Settings of the result processor: where the table of attachments lives. */
import { storeAccessSettings, storeUrlSetting } from '@weir/contracts';
import { z } from 'zod';

export const resultProcessorConfig = z.object({
  TABLES_URL: storeUrlSetting(
    'file:///tmp/weir/tables',
    'Where the tables are; `xact_attachments` is a folder in it. The same for all services.',
  ),
  ...storeAccessSettings,
});
export type ResultProcessorConfig = z.output<typeof resultProcessorConfig>;
