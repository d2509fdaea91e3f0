import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { LedgerInvalidError } from '../errors.ts';
import { isAttachment, isPoison, type LedgerEntry, readLedger, writeLedger } from './ledger.ts';

const entries: LedgerEntry[] = [
  {
    event: 'e1',
    traceId: 't1',
    mediaId: 'm1',
    url: 'http://127.0.0.1:1/a/0/x.pdf',
    sha256: 'ab',
    bytes: 3,
    fault: 'flaky:2',
    expectedStatus: 'completed',
  },
  { event: 'e2', traceId: 't2', url: null, expectedStatus: null },
  { event: null, url: null, sha256: 'cd', bytes: 9, fault: 'not UTF-8', expectedStatus: 'dead_letter' },
];

describe('the ledger', () => {
  let folder: string;
  beforeEach(async () => {
    folder = await mkdtemp(join(tmpdir(), 'weir-ledger-'));
  });
  afterEach(() => rm(folder, { recursive: true }));

  test('what is written is read back', async () => {
    const path = join(folder, 'source.ndjson');
    await writeLedger(path, entries);
    const read = await readLedger(path);
    expect(read).toEqual(entries);
    expect(read.map(isAttachment)).toEqual([true, false, false]);
    expect(read.map(isPoison)).toEqual([false, false, true]);
  });

  test('a damaged line is named', async () => {
    const path = join(folder, 'source.ndjson');
    await writeFile(path, `${JSON.stringify(entries[1])}\n{"event": 7}\n`);
    await expect(readLedger(path)).rejects.toThrow(LedgerInvalidError);
    await expect(readLedger(path)).rejects.toThrow(/line 2/);
  });
});
