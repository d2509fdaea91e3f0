/**
 * What is behind the attachments' URLs: made files from a seed, or the files of a real folder.
 *
 * A made file is a true beginning of its type (so that a worker that looks at magic bytes is content), a slice of a
 * seeded pool and a line of its own, so that no two are alike. It is made again at every request rather than kept.
 *
 * A folder is walked once: regular files only (links are not followed, so nothing outside it is ever served), names as
 * the bytes they are, 50 MB each at most. A file is streamed from disk, never read whole, and hashed once.
 */
import { createHash } from 'node:crypto';
import { createReadStream } from 'node:fs';
import { lstat, readdir } from 'node:fs/promises';
import { extname } from 'node:path';
import { pipeline } from 'node:stream/promises';
import { type Random, seededRandom } from '@weir/core';
import { SourceFolderError } from '../errors.ts';

export const LARGEST_FILE_BYTES = 50 * 1024 * 1024;
/** After every file was used once, only files up to this size are used again, or a large folder would fill the disk. */
const REPEATED_FILE_BYTES = 1024 * 1024;

export interface SourceFile {
  /** As shown in the URL. */
  readonly name: string;
  readonly contentType: string;
  readonly bytes: number;
  /** Hex; computed once. */
  sha256(): Promise<string>;
  /** The content from byte `start` to before byte `end`. */
  read(start: number, end: number): AsyncIterable<Uint8Array>;
}

/** Gives a file for each attachment. */
export interface FileCatalogue {
  next(random: Random): SourceFile;
}

const TYPES: Readonly<Record<string, string>> = {
  pdf: 'application/pdf',
  jpg: 'image/jpeg',
  jpeg: 'image/jpeg',
  png: 'image/png',
  gif: 'image/gif',
  xml: 'application/xml',
  json: 'application/json',
  csv: 'text/csv',
  txt: 'text/plain; charset=utf-8',
  html: 'text/html; charset=utf-8',
  docx: 'application/vnd.openxmlformats-officedocument.wordprocessingml.document',
  xlsx: 'application/vnd.openxmlformats-officedocument.spreadsheetml.sheet',
};

function contentTypeOf(name: string): string {
  return TYPES[extname(name).slice(1).toLowerCase()] ?? 'application/octet-stream';
}

// ---- made files ---------------------------------------------------------------------------------------------------

const POOL_BYTES = 512 * 1024;
const MEAN_BYTES = 20 * 1024;
const LARGEST_MADE_BYTES = 256 * 1024;

/** Type, weight, how it begins, and whether its body is text. */
const KINDS = [
  { type: 'pdf', weight: 35, head: Buffer.from('%PDF-1.7\n%\xe2\xe3\xcf\xd3\n', 'latin1'), text: false },
  { type: 'jpg', weight: 30, head: Buffer.from('ffd8ffe000104a46494600010101004800480000', 'hex'), text: false },
  { type: 'png', weight: 8, head: Buffer.from('89504e470d0a1a0a0000000d49484452', 'hex'), text: false },
  { type: 'docx', weight: 7, head: Buffer.from('504b0304140006000800', 'hex'), text: false },
  { type: 'xlsx', weight: 5, head: Buffer.from('504b0304140006000800', 'hex'), text: false },
  { type: 'xml', weight: 6, head: Buffer.from('<?xml version="1.0" encoding="UTF-8"?>\n<!--\n'), text: true },
  { type: 'csv', weight: 4, head: Buffer.from('room,item,quantity\n'), text: true },
  { type: 'txt', weight: 5, head: Buffer.from('Estimate notes\n'), text: true },
] as const;

const STEMS = ['photo', 'estimate', 'Sketch plan', 'invoice', 'report', 'Prüfbericht', 'statement', 'roof (north)'];

export class MadeFiles implements FileCatalogue {
  readonly #binary: Buffer;
  readonly #text: Buffer;
  #made = 0;

  constructor(seed: number) {
    const random = seededRandom(seed ^ 0x5eed);
    this.#binary = Buffer.alloc(POOL_BYTES);
    for (let at = 0; at < POOL_BYTES; at += 4) this.#binary.writeUInt32LE(random.below(2 ** 32), at);
    this.#text = Buffer.from(this.#binary.toString('base64').replace(/(.{76})/g, '$1\n'));
  }

  next(random: Random): SourceFile {
    const kind = drawKind(random);
    const bytes = Math.min(LARGEST_MADE_BYTES, Math.round(256 - Math.log(1 - random.next()) * (MEAN_BYTES - 256)));
    const pool = kind.text ? this.#text : this.#binary;
    const offset = random.below(pool.length - LARGEST_MADE_BYTES);
    const name = `${STEMS[random.below(STEMS.length)]}-${random.below(1000)}.${kind.type}`;
    const tail = Buffer.from(`\n${name} ${this.#made++}\n`);
    const bodyBytes = Math.max(0, bytes - kind.head.length - tail.length);
    return new MadeFile(name, [kind.head, pool.subarray(offset, offset + bodyBytes), tail]);
  }
}

function drawKind(random: Random): (typeof KINDS)[number] {
  let left = random.below(KINDS.reduce((sum, kind) => sum + kind.weight, 0));
  for (const kind of KINDS) {
    left -= kind.weight;
    if (left < 0) return kind;
  }
  return KINDS[0];
}

class MadeFile implements SourceFile {
  readonly name: string;
  readonly contentType: string;
  readonly bytes: number;
  readonly #parts: readonly Buffer[];

  constructor(name: string, parts: readonly Buffer[]) {
    this.name = name;
    this.contentType = contentTypeOf(name);
    this.#parts = parts;
    this.bytes = parts.reduce((sum, part) => sum + part.length, 0);
  }

  async sha256(): Promise<string> {
    const hash = createHash('sha256');
    for (const part of this.#parts) hash.update(part);
    return hash.digest('hex');
  }

  async *read(start: number, end: number): AsyncGenerator<Uint8Array> {
    yield Buffer.concat(this.#parts).subarray(start, end);
  }
}

// ---- a real folder ------------------------------------------------------------------------------------------------

export class FolderFiles implements FileCatalogue {
  /** Files left out, by reason, for the summary. */
  readonly skipped: Readonly<Record<'links' | 'tooLarge' | 'unreadable' | 'special', number>>;
  readonly count: number;
  readonly #files: readonly FolderFile[];
  readonly #again: readonly FolderFile[];
  #used = 0;

  private constructor(files: FolderFile[], skipped: Record<'links' | 'tooLarge' | 'unreadable' | 'special', number>) {
    this.skipped = skipped;
    this.count = files.length;
    this.#files = files;
    const small = files.filter((file) => file.bytes <= REPEATED_FILE_BYTES);
    this.#again = small.length > 0 ? small : files;
  }

  /** @throws SourceFolderError when the folder cannot be read or has no file that can be served */
  static async open(folder: string, seed: number): Promise<FolderFiles> {
    const files: FolderFile[] = [];
    const skipped = { links: 0, tooLarge: 0, unreadable: 0, special: 0 };
    const walk = async (path: Buffer, top: boolean): Promise<void> => {
      let entries: { name: Buffer; isDirectory(): boolean; isFile(): boolean; isSymbolicLink(): boolean }[];
      try {
        entries = await readdir(path, { withFileTypes: true, encoding: 'buffer' });
      } catch (error) {
        if (top) throw new SourceFolderError(folder, 'it cannot be read', { cause: error });
        skipped.unreadable++;
        return;
      }
      entries.sort((a, b) => Buffer.compare(a.name, b.name));
      for (const entry of entries) {
        const inside = Buffer.concat([path, Buffer.from('/'), entry.name]);
        if (entry.isDirectory()) await walk(inside, false);
        else if (entry.isSymbolicLink()) skipped.links++;
        else if (!entry.isFile()) skipped.special++;
        else {
          const stat = await lstat(inside).catch(() => undefined);
          if (!stat?.isFile()) skipped.unreadable++;
          else if (stat.size > LARGEST_FILE_BYTES) skipped.tooLarge++;
          else files.push(new FolderFile(inside, entry.name.toString('utf8'), stat.size));
        }
      }
    };
    await walk(Buffer.from(folder), true);
    if (files.length === 0) throw new SourceFolderError(folder, 'it has no regular file of at most 50 MB');
    shuffle(files, seededRandom(seed));
    return new FolderFiles(files, skipped);
  }

  next(random: Random): SourceFile {
    if (this.#used < this.#files.length) return this.#files[this.#used++]!;
    return this.#again[random.below(this.#again.length)]!;
  }
}

class FolderFile implements SourceFile {
  readonly name: string;
  readonly contentType: string;
  readonly bytes: number;
  readonly #path: Buffer;
  #sha256: Promise<string> | undefined;

  constructor(path: Buffer, name: string, bytes: number) {
    this.#path = path;
    this.name = name;
    this.contentType = contentTypeOf(name);
    this.bytes = bytes;
  }

  sha256(): Promise<string> {
    this.#sha256 ??= this.#hash();
    return this.#sha256;
  }

  async #hash(): Promise<string> {
    const hash = createHash('sha256');
    await pipeline(createReadStream(this.#path), hash);
    return hash.digest('hex');
  }

  async *read(start: number, end: number): AsyncGenerator<Uint8Array> {
    if (end > start) yield* createReadStream(this.#path, { start, end: end - 1 }) as AsyncIterable<Buffer>;
  }
}

/** Fisher-Yates, from the seed. */
function shuffle<T>(list: T[], random: Random): void {
  for (let at = list.length - 1; at > 0; at--) {
    const other = random.below(at + 1);
    [list[at], list[other]] = [list[other]!, list[at]!];
  }
}
