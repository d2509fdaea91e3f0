import { readFileSync } from 'node:fs';
import { configMarkdown, configTable } from '@weir/sdk';
import { expect, test } from 'vitest';
import { dlqHandlerConfig } from './config.ts';

test('the README lists the settings as they are', () => {
  const readme = readFileSync(new URL('../README.md', import.meta.url), 'utf8');
  expect(readme).toContain(configMarkdown(configTable(dlqHandlerConfig)));
});

test('a table’s place must be a store', () => {
  expect(dlqHandlerConfig.safeParse({ TABLES_URL: 's3://bucket/tables' }).success).toBe(true);
  for (const url of ['tables', '/tables', 'http://h/tables', 's3://', 'file://']) {
    expect(dlqHandlerConfig.safeParse({ TABLES_URL: url }).error?.issues[0]?.path, url).toEqual(['TABLES_URL']);
  }
});
