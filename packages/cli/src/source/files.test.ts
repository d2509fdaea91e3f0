import { createHash } from 'node:crypto';
import { mkdir, mkdtemp, rm, symlink, truncate, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { seededRandom } from '@weir/core';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { SourceFolderError } from '../errors.ts';
import { FolderFiles, LARGEST_FILE_BYTES, MadeFiles, type SourceFile } from './files.ts';

async function contentOf(file: SourceFile, start = 0, end = file.bytes): Promise<Buffer> {
  const chunks: Uint8Array[] = [];
  for await (const chunk of file.read(start, end)) chunks.push(chunk);
  return Buffer.concat(chunks);
}

describe('made files', () => {
  test('begin as their type does, differ from each other, and come out the same from the same seed', async () => {
    const [one, two] = [new MadeFiles(3), new MadeFiles(3)];
    const [drawOne, drawTwo] = [seededRandom(1), seededRandom(1)];
    const hashes = new Set<string>();
    for (let each = 0; each < 100; each++) {
      const file = one.next(drawOne);
      const content = await contentOf(file);
      expect(content.length).toBe(file.bytes);
      expect(await file.sha256()).toBe(createHash('sha256').update(content).digest('hex'));
      expect(await two.next(drawTwo).sha256()).toBe(await file.sha256());
      if (file.name.endsWith('.pdf')) expect(content.subarray(0, 5).toString()).toBe('%PDF-');
      if (file.name.endsWith('.jpg')) expect(content.subarray(0, 3).toString('hex')).toBe('ffd8ff');
      hashes.add(await file.sha256());
    }
    expect(hashes.size).toBe(100);
  });
});

describe('files of a folder', () => {
  let folder: string;
  beforeEach(async () => {
    folder = await mkdtemp(join(tmpdir(), 'weir-files-'));
  });
  afterEach(() => rm(folder, { recursive: true }));

  test('are regular ones only, found below, with odd names and bytes that are no UTF-8', async () => {
    await mkdir(join(folder, 'a b/c#d'), { recursive: true });
    await writeFile(join(folder, 'a b/c#d/100% of it?.txt'), 'deep');
    await writeFile(Buffer.concat([Buffer.from(`${folder}/odd-`), Buffer.from([0xff, 0xfe])]), 'odd');
    await writeFile(join(folder, 'empty.bin'), '');
    await writeFile(join(folder, 'huge.bin'), '');
    await truncate(join(folder, 'huge.bin'), LARGEST_FILE_BYTES + 1);
    await symlink('/etc', join(folder, 'out'));
    await symlink('/etc/hostname', join(folder, 'out.txt'));
    const files = await FolderFiles.open(folder, 1);
    expect(files.count).toBe(3);
    expect(files.skipped).toEqual({ links: 2, tooLarge: 1, unreadable: 0, special: 0 });
    const random = seededRandom(1);
    const all = [files.next(random), files.next(random), files.next(random)];
    expect(new Set(await Promise.all(all.map(async (file) => (await contentOf(file)).toString())))).toEqual(
      new Set(['deep', 'odd', '']),
    );
    for (const file of all) expect(() => encodeURIComponent(file.name)).not.toThrow();
  });

  test('each is used once, then only those of a megabyte or less again', async () => {
    await writeFile(join(folder, 'small.txt'), 'small');
    await writeFile(join(folder, 'large.bin'), Buffer.alloc(2 * 1024 * 1024));
    const files = await FolderFiles.open(folder, 1);
    const random = seededRandom(1);
    const names = Array.from({ length: 10 }, () => files.next(random).name);
    expect(names.slice(0, 2).sort()).toEqual(['large.bin', 'small.txt']);
    expect(new Set(names.slice(2))).toEqual(new Set(['small.txt']));
  });

  test('a part of a file is that part', async () => {
    await writeFile(join(folder, 'ten.txt'), '0123456789');
    const file = (await FolderFiles.open(folder, 1)).next(seededRandom(1));
    expect((await contentOf(file, 3, 7)).toString()).toBe('3456');
    expect((await contentOf(file, 5, 5)).toString()).toBe('');
  });

  test('a folder that is not there, or has nothing to serve, is refused in words', async () => {
    await expect(FolderFiles.open(join(folder, 'no'), 1)).rejects.toThrow(SourceFolderError);
    await expect(FolderFiles.open(folder, 1)).rejects.toThrow(/no regular file/);
  });
});
