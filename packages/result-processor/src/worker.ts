/** result-processor: writes every download result once into `xact_attachments`. */
import { downloadsResults, xactAttachments } from '@weir/contracts';
import { defineWorker } from '@weir/sdk';
import { TableSink } from '@weir/table-sink';
import { resultProcessorConfig } from './config.ts';
import { attachmentRow } from './row.ts';

export const resultProcessor = defineWorker({
  name: 'result-processor',
  consumes: downloadsResults,
  order: 'none',
  batch: { maxRecords: 100, maxWait: '5s' },
  // A store that is away is waited for in place, so that no record burns an attempt on it.
  timeout: '1h',
  dependencies: { tables: { timeout: '60s' } },
  scaling: { min: 1, catchUp: '5m' },
  config: resultProcessorConfig,

  open: (init) => TableSink.open(xactAttachments, init),
  close: (sink) => sink.close(),
  assigned: (partitions, { resources: sink }) => sink.assigned(partitions),
  revoked: (partitions, { resources: sink }) => sink.revoked(partitions),

  handleBatch: (records, ctx) => ctx.resources.write(records, ctx, (record) => attachmentRow(record.value, record)),
});
