/** Settings of the ingester: where the table of events lives. */
import { storeAccessSettings, storeUrlSetting } from '@weir/contracts';
import { z } from 'zod';

export const ingesterConfig = z.object({
  TABLES_URL: storeUrlSetting(
    'file:///tmp/weir/tables',
    'Where the tables are; `xact_events` is a folder in it. The same for all services.',
  ),
  ...storeAccessSettings,
});
export type IngesterConfig = z.output<typeof ingesterConfig>;
