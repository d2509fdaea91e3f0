import { mkdir, mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { UsageError } from '../errors.ts';
import { MANIFEST_DEFAULTS, manifestFiles, staleFiles } from './manifests.ts';

const options = { ...MANIFEST_DEFAULTS, set: {} };

describe('weir manifests', () => {
  let folder: string;
  beforeEach(async () => {
    folder = await mkdtemp(join(tmpdir(), 'weir-manifests-'));
  });
  afterEach(() => rm(folder, { recursive: true }));

  async function write(files: ReadonlyMap<string, string>): Promise<void> {
    for (const [name, text] of files) {
      await mkdir(dirname(join(folder, name)), { recursive: true });
      await writeFile(join(folder, name), text);
    }
  }

  test('every worker of the pipeline has a file, and the same declarations give the same bytes', async () => {
    const files = await manifestFiles(options);
    for (const worker of ['event-ingester', 'download-worker', 'result-processor', 'retry-scheduler', 'dlq-handler']) {
      expect([...files.keys()]).toContain(`${worker}.yaml`);
    }
    expect(await manifestFiles(options)).toEqual(files);
  });

  test('only the workers that were named, and none that nobody knows', async () => {
    expect([...(await manifestFiles(options, ['download-worker'])).keys()]).toEqual(['download-worker.yaml']);
    await expect(manifestFiles(options, ['downloader'])).rejects.toThrow(UsageError);
  });

  test('what differs, is missing or is left over is stale; what was just written is not', async () => {
    const files = await manifestFiles(options);
    await write(files);
    expect(await staleFiles(folder, files, true)).toEqual([]);
    await writeFile(join(folder, 'download-worker.yaml'), 'kind: Other\n');
    await writeFile(join(folder, 'old-worker.yaml'), '');
    await rm(join(folder, 'settings.yaml'));
    expect((await staleFiles(folder, files, true)).map(({ name, why }) => `${name} ${why}`).sort()).toEqual([
      'download-worker.yaml differs',
      'old-worker.yaml does not follow from the declarations',
      'settings.yaml is missing',
    ]);
  });

  test('a setting reaches the shared settings', async () => {
    const files = await manifestFiles({ ...options, set: { KAFKA_BROKERS: 'kafka.example.com:9093' } });
    await write(files);
    expect(await readFile(join(folder, 'settings.yaml'), 'utf8')).toContain('kafka.example.com:9093');
  });
});
