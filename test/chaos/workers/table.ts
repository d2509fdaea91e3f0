import type { TableSpec } from '@weir/lake';

export const TABLE: TableSpec = {
  name: 'rows',
  partitionBy: [],
  key: ['id'],
  columns: [
    { name: 'id', type: 'string', nullable: false },
    { name: 'source_partition', type: 'int', nullable: false },
    { name: 'source_offset', type: 'long', nullable: false },
  ],
};
