/**
 * File types: extension -> the content types that really match it, and its first bytes where the type has any. The
 * extension comes from the URL, the content type from the server; neither is to be believed alone, and the replaced
 * system accepted csv, xlsx and docx by name only to refuse them by content type after the whole download.
 *
 * Checked in the order of what it costs: the name before the request, the content type at the headers, the first bytes
 * before anything is stored.
 */
import { UNKNOWN_FILE_TYPE } from '@weir/contracts';
import { FileRefusedError } from './errors.ts';

interface FileType {
  readonly contentTypes: readonly string[];
  /** Undefined: the type has no bytes to know it by. */
  readonly magic?: (head: Buffer) => boolean;
}

/** Bytes of the beginning that `magic` wants to see. */
export const HEAD_BYTES = 1024;

const starts =
  (...signatures: readonly (string | readonly number[])[]) =>
  (head: Buffer) =>
    signatures.some((signature) =>
      head.subarray(0, signature.length).equals(Buffer.from(signature as string, 'latin1')),
    );
const bytesAt = (head: Buffer, at: number, expected: string) =>
  head.subarray(at, at + expected.length).toString('latin1') === expected;

const zip = starts('PK\x03\x04', 'PK\x05\x06');
const ole = starts([0xd0, 0xcf, 0x11, 0xe0, 0xa1, 0xb1, 0x1a, 0xe1]);
const OFFICE = 'application/vnd.openxmlformats-officedocument';
const MP4_BOXES = ['ftyp', 'moov', 'mdat', 'wide', 'free', 'skip', 'pnot'];
const isoMedia = (head: Buffer) => MP4_BOXES.some((box) => bytesAt(head, 4, box));

/** PDF readers accept junk before the header, so scanners write it: anywhere in the first kilobyte. */
const pdf = (head: Buffer) => head.includes('%PDF-');
const jpeg: FileType = { contentTypes: ['image/jpeg', 'image/jpg', 'image/pjpeg'], magic: starts([0xff, 0xd8, 0xff]) };
const tiff: FileType = { contentTypes: ['image/tiff', 'image/tif'], magic: starts('II*\0', 'MM\0*', 'II+\0', 'MM\0+') };
const html: FileType = { contentTypes: ['text/html', 'application/xhtml+xml'] };

const FILE_TYPES: Readonly<Record<string, FileType>> = {
  pdf: { contentTypes: ['application/pdf', 'application/x-pdf'], magic: pdf },
  xml: { contentTypes: ['application/xml', 'text/xml', 'text/plain'] },
  txt: { contentTypes: ['text/plain'] },
  csv: { contentTypes: ['text/csv', 'application/csv', 'text/plain', 'application/vnd.ms-excel'] },
  json: { contentTypes: ['application/json', 'text/json', 'text/plain'] },
  html,
  htm: html,
  // Old Excel and Word files are OLE, but both programs also save XML, HTML and RTF under these names.
  xls: { contentTypes: ['application/vnd.ms-excel', 'application/msexcel', 'application/x-msexcel'] },
  xlsx: {
    contentTypes: [`${OFFICE}.spreadsheetml.sheet`, 'application/vnd.ms-excel', 'application/zip'],
    magic: (head) => zip(head) || ole(head),
  },
  doc: { contentTypes: ['application/msword', 'application/rtf', 'text/rtf'] },
  docx: {
    contentTypes: [`${OFFICE}.wordprocessingml.document`, 'application/msword', 'application/zip'],
    magic: (head) => zip(head) || ole(head),
  },
  // Xactimate's own; written by several of its versions in different containers.
  esx: { contentTypes: ['application/zip', 'application/x-zip-compressed', 'application/x-esx', 'application/esx'] },
  jpg: jpeg,
  jpeg,
  png: { contentTypes: ['image/png', 'image/x-png'], magic: starts([0x89, 0x50, 0x4e, 0x47, 0x0d, 0x0a, 0x1a, 0x0a]) },
  gif: { contentTypes: ['image/gif'], magic: starts('GIF87a', 'GIF89a') },
  bmp: { contentTypes: ['image/bmp', 'image/x-bmp', 'image/x-ms-bmp'], magic: starts('BM') },
  tif: tiff,
  tiff,
  webp: { contentTypes: ['image/webp'], magic: (head) => bytesAt(head, 0, 'RIFF') && bytesAt(head, 8, 'WEBP') },
  mov: { contentTypes: ['video/quicktime', 'video/mp4'], magic: isoMedia },
  mp4: { contentTypes: ['video/mp4', 'application/mp4', 'audio/mp4', 'video/quicktime'], magic: isoMedia },
};

export const KNOWN_FILE_TYPES: readonly string[] = Object.keys(FILE_TYPES);

/** What servers say when they do not know: no evidence either way. */
const GENERIC = new Set([
  '',
  'application/octet-stream',
  'binary/octet-stream',
  'application/force-download',
  'application/x-download',
  'application/download',
  'application/unknown',
]);

/** The content type without its parameters, in small letters; '' when there is none. */
export const essenceOf = (contentType: string | undefined): string =>
  (contentType ?? '').split(';')[0]!.trim().toLowerCase();

export class FileTypes {
  readonly #allowed: ReadonlySet<string>;
  readonly #any: boolean;

  /** @param allowed  extensions in small letters, or `*` */
  constructor(allowed: readonly string[]) {
    this.#allowed = new Set(allowed);
    this.#any = this.#allowed.has('*');
  }

  /** @throws FileRefusedError when the type, known from the URL, is not taken */
  checkName(fileType: string): void {
    if (this.#any || fileType.toUpperCase() === UNKNOWN_FILE_TYPE) return;
    if (!this.#allowed.has(fileType.toLowerCase())) {
      throw new FileRefusedError('type', `files of type ${fileType} are not taken (ALLOWED_FILE_TYPES)`);
    }
  }

  /**
   * The type that the file must have by name and content type; undefined when anything goes.
   * @throws FileRefusedError when the two do not agree, or when neither tells
   */
  checkContentType(fileType: string, contentType: string | undefined): string | undefined {
    if (this.#any) return undefined;
    const essence = essenceOf(contentType);
    const type = fileType.toUpperCase() === UNKNOWN_FILE_TYPE ? this.#typeOf(essence) : fileType.toLowerCase();
    if (type === undefined) {
      throw new FileRefusedError(
        'type',
        `neither the URL nor the content type (${essence || 'none'}) names a file type that is taken`,
      );
    }
    const known = FILE_TYPES[type];
    if (known && !GENERIC.has(essence) && !known.contentTypes.includes(essence)) {
      throw new FileRefusedError('content-type', `a ${type} file came with content type ${essence}`);
    }
    return type;
  }

  /** @throws FileRefusedError when the first bytes are another type's */
  checkHead(type: string | undefined, head: Buffer): void {
    const magic = type === undefined ? undefined : FILE_TYPES[type]?.magic;
    if (magic && !magic(head)) {
      throw new FileRefusedError('content', `the first bytes are not those of a ${type} file`);
    }
  }

  #typeOf(essence: string): string | undefined {
    return KNOWN_FILE_TYPES.find((type) => this.#allowed.has(type) && FILE_TYPES[type]!.contentTypes.includes(essence));
  }
}
