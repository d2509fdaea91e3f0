/**
 * The generated parts of docs/configuration.md and docs/metrics.md say what the code says.
 * To bring them up to date: `npx vitest run packages/sdk/src/docs.test.ts --update`.
 */
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { expect, test } from 'vitest';
import { configMarkdown, configTable } from './config-table.ts';
import { EXIT } from './lifecycle.ts';
import { METRIC_ROWS, metricsMarkdown } from './metric-table.ts';
import { kafkaSettings, PROFILES, processSettings, workerSettings } from './settings.ts';

const docs = join(import.meta.dirname, '../../../docs');

/** The page with what stands between its `generated` comments made anew. */
function fresh(page: string, parts: Readonly<Record<string, string>>): string {
  const seen = new Set<string>();
  const text = page.replace(
    /(<!-- generated: (\S+) -->\n)[\s\S]*?(<!-- \/generated -->)/g,
    (_, open: string, name: string, close: string) => {
      seen.add(name);
      return `${open}${parts[name]}\n${close}`;
    },
  );
  expect([...seen].sort()).toEqual(Object.keys(parts).sort());
  return text;
}

const profiles = [
  '| Profile | Memory | CPU | Concurrency | Queue |',
  '| --- | --- | --- | --- | --- |',
  ...Object.entries(PROFILES).map(
    ([name, { memoryMi, cpuMilli, concurrency, queueBytes }]) =>
      `| \`${name}\` | ${memoryMi}Mi | ${cpuMilli}m | ${concurrency.start} to ${concurrency.max} | ${queueBytes / 1024 / 1024} MiB |`,
  ),
].join('\n');

const MEANING: Readonly<Record<keyof typeof EXIT, string>> = {
  clean: 'Told to stop, and everything in hand was finished and committed.',
  crash: 'Something broke that the process cannot go on from; the last log line says what.',
  configuration: 'The environment, the topology file or the port cannot be used; standard error says what to change.',
  cutShort: 'Told to stop, but something in hand did not finish in time: it was aborted and will be redelivered.',
};
const REMEDY: Readonly<Record<keyof typeof EXIT, string>> = {
  clean: 'Start another one only if one is wanted: `restart: on-failure`, or nothing.',
  crash: 'Start it again, with a growing pause; tell somebody when it goes on.',
  configuration: 'Not start it again before the setting has changed: it will end the same way.',
  cutShort:
    'Nothing: no record is lost. When it happens often, raise `DRAIN_TIMEOUT_MS` and the grace period, or make handlers obey their signal.',
};
const exits = [
  '| Exit code | Meaning | What a supervisor should do |',
  '| --- | --- | --- |',
  ...Object.entries(EXIT).map(
    ([name, code]) => `| ${code} | ${MEANING[name as keyof typeof EXIT]} | ${REMEDY[name as keyof typeof EXIT]} |`,
  ),
].join('\n');

test('docs/configuration.md has the settings as they are', async () => {
  const path = join(docs, 'configuration.md');
  const text = fresh(readFileSync(path, 'utf8'), {
    process: configMarkdown(configTable(processSettings)),
    kafka: configMarkdown(configTable(kafkaSettings)),
    worker: configMarkdown(configTable(workerSettings)),
    profiles,
    exit: exits,
  });
  await expect(text).toMatchFileSnapshot(path);
});

test('docs/metrics.md has the metrics as they are', async () => {
  const path = join(docs, 'metrics.md');
  const text = fresh(readFileSync(path, 'utf8'), { metrics: metricsMarkdown(METRIC_ROWS) });
  await expect(text).toMatchFileSnapshot(path);
});
