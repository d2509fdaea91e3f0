/**
 * Files that need not be kept: what is in one follows from its number and its size, and both are in its URL. The server
 * makes them, whoever verifies makes them again.
 */
import { createHash } from 'node:crypto';
import type { SourceFile } from '../../../packages/cli/src/source/files.ts';

/** How its URL asks for it; the waiting is the server's, before the first byte. */
export interface FilePath {
  readonly number: number;
  readonly bytes: number;
  readonly waitMs: number;
}

export function filePath({ number, bytes, waitMs }: FilePath, name: string): string {
  return `/f/${number}/${bytes}/${waitMs}/${encodeURIComponent(name)}`;
}

export function readFilePath(path: string): FilePath | undefined {
  const [, number, bytes, waitMs] = /^\/f\/(\d+)\/(\d+)\/(\d+)\//.exec(path) ?? [];
  return number === undefined ? undefined : { number: Number(number), bytes: Number(bytes), waitMs: Number(waitMs) };
}

const POOL = Buffer.from(
  Uint32Array.from({ length: 2 ** 18 }, (_, index) => Math.imul(index + 1, 2_654_435_761)).buffer,
);

/** The beginning, which no other file has, and the rest, which is shared memory. */
export function fileParts(number: number, bytes: number): { head: Buffer; rest: Buffer } {
  const head = Buffer.from(`%PDF-1.7\n% file ${number}\n`, 'latin1').subarray(0, bytes);
  return { head, rest: POOL.subarray(0, bytes - head.length) };
}

/** As the plan of the demo's source wants it; its content is the server's business. */
export class NumberedFile implements SourceFile {
  readonly contentType = 'application/pdf';
  readonly name: string;
  readonly bytes: number;
  readonly number: number;

  constructor(number: number, bytes: number) {
    this.number = number;
    this.bytes = bytes;
    this.name = `report-${number % 1000}.pdf`;
  }

  async sha256(): Promise<string> {
    const { head, rest } = fileParts(this.number, this.bytes);
    return createHash('sha256').update(head).update(rest).digest('hex');
  }

  async *read(start: number, end: number): AsyncGenerator<Uint8Array> {
    const { head, rest } = fileParts(this.number, this.bytes);
    yield Buffer.concat([head, rest]).subarray(start, end);
  }
}
