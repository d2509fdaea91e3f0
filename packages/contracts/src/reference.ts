/** docs/contracts.md, written from the schemas, topics and tables themselves; a test fails when the page is stale. */
import type { Topic } from '@weir/sdk';
import { z } from 'zod';
import { DownloadResult, DownloadTask } from './download.ts';
import { Event } from './event.ts';
import { TABLES, type TableSpec } from './tables.ts';
import { downloadsPending, downloadsResults, eventsRaw } from './topics.ts';

const TOPICS: readonly { readonly topic: Topic; readonly message: string; readonly key: string }[] = [
  { topic: eventsRaw as unknown as Topic, message: 'Event', key: '`traceId`' },
  { topic: downloadsPending as unknown as Topic, message: 'DownloadTask', key: '`mediaId`' },
  { topic: downloadsResults as unknown as Topic, message: 'DownloadResult', key: '`mediaId`' },
];

const MESSAGES: readonly { readonly name: string; readonly schema: z.ZodObject; readonly about: string }[] = [
  {
    name: 'Event',
    schema: Event,
    about: 'From outside, camelCase. Valid without attachments or assignment: recorded, no tasks.',
  },
  {
    name: 'DownloadTask',
    schema: DownloadTask,
    about: 'One per distinct attachment of an event. Attempts and errors travel in headers, never in the value.',
  },
  {
    name: 'DownloadResult',
    schema: DownloadResult,
    about: 'One per final outcome of a readable task, exhausted retries included.',
  },
];

export function contractsMarkdown(): string {
  return [
    '# What do the services exchange and store?',
    '',
    'Generated from `packages/contracts` by its `reference.test.ts`; do not edit. Names are public: a field, column or topic is',
    'never renamed and never changes its meaning.',
    '',
    '## Topics',
    '',
    'Kafka’s names have the prefix before them (`WEIR_TOPIC_PREFIX`, `xact` unless told). Retry and dead-letter topics follow',
    'from the workers’ declarations: `weir topics create` makes them all.',
    '',
    '| topic | partitions | key | message | `weir-schema` |',
    '| --- | --- | --- | --- | --- |',
    ...TOPICS.map(
      ({ topic, message, key }) =>
        `| \`${topic.name}\` | ${topic.partitions} | ${key} | [${message}](#${message.toLowerCase()}) | \`${topic.schemaId}\` |`,
    ),
    '',
    '## Messages',
    '',
    'JSON in UTF-8. Fields that are not listed are kept. Text is trimmed; blank counts as missing.',
    ...MESSAGES.flatMap(({ name, schema, about }) => ['', `### ${name}`, '', about, '', ...fieldTable(schema)]),
    '',
    '## Tables',
    '',
    'Delta Lake, append only, under `TABLES_URL`; their paths do not carry the prefix. Within its bound (the newest 200,000 keys',
    'of a partition, or 24 hours) a row of a key that is there already is not written again.',
    ...TABLES.flatMap((table) => ['', `### ${table.name}`, '', ...tableTable(table)]),
    '',
  ].join('\n');
}

function fieldTable(schema: z.ZodObject): string[] {
  return [
    '| field | type | required | meaning |',
    '| --- | --- | --- | --- |',
    ...Object.entries(schema.shape).map(([name, field]) => {
      const type = field as z.ZodType;
      const required = type.safeParse(undefined).success ? 'no' : 'yes';
      return `| \`${name}\` | ${typeOf(type)} | ${required} | ${cell(type.description ?? '')} |`;
    }),
  ];
}

function typeOf(type: z.ZodType): string {
  type Shape = { type?: string | readonly string[]; enum?: readonly unknown[]; anyOf?: readonly Shape[] };
  const shape = z.toJSONSchema(type, { io: 'input', unrepresentable: 'any' }) as Shape;
  const words = (one: Shape): readonly string[] => {
    if (one.anyOf) return one.anyOf.flatMap(words);
    if (one.enum) return one.enum.map((each) => `\`${String(each)}\``);
    const types = typeof one.type === 'string' ? [one.type] : (one.type ?? []);
    return types.filter((each) => each !== 'null').map((each) => (each === 'string' ? 'text' : each));
  };
  return [...new Set(words(shape))].join(', ') || 'any';
}

function tableTable(table: TableSpec): string[] {
  const partitions = table.partitionBy.map((name) => `\`${name}\``).join(', ');
  return [
    table.description,
    `Key: ${table.key.map((name) => `\`${name}\``).join(', ')}.${partitions ? ` Partitioned by ${partitions}.` : ''}`,
    '',
    '| column | type | may be null | meaning |',
    '| --- | --- | --- | --- |',
    ...table.columns.map(
      ({ name, type, nullable, description }) =>
        `| \`${name}\` | ${type} | ${nullable ? 'yes' : 'no'} | ${cell(description)} |`,
    ),
  ];
}

const cell = (text: string) => text.replaceAll('|', '\\|');
