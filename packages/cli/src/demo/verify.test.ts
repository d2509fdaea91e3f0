import { createHash } from 'node:crypto';
import { describe, expect, test } from 'vitest';
import type { LedgerEntry } from '../source/ledger.ts';
import { type AttachmentRow, type DeadLetterSeen, type Problem, verify } from './verify.ts';

const sha = (text: string) => createHash('sha256').update(text).digest('hex');
const POISON = '{"cut';

function world() {
  const attachment = (number: number, over: Partial<Extract<LedgerEntry, { url: string }>> = {}): LedgerEntry => ({
    event: 'e1',
    traceId: 't1',
    mediaId: `m${number}`,
    url: `http://127.0.0.1:1/a/${number}/x.pdf?signature=secret`,
    sha256: sha(`content ${number}`),
    bytes: 9,
    fault: null,
    expectedStatus: 'completed',
    ...over,
  });
  const ledger: LedgerEntry[] = [
    attachment(1),
    attachment(2),
    attachment(3, { sha256: null, bytes: null, fault: 'not-found', expectedStatus: 'failed_permanent' }),
    { event: 'e2', traceId: 't2', url: null, expectedStatus: null },
    { event: null, url: null, sha256: sha(POISON), bytes: 5, fault: 'JSON cut off', expectedStatus: 'dead_letter' },
  ];
  const row = (number: number, over: Partial<AttachmentRow> = {}): AttachmentRow => ({
    mediaId: `m${number}`,
    replays: 0,
    status: 'completed',
    sha256: sha(`content ${number}`),
    bytes: 9,
    blobPath: `path/${number}`,
    ...over,
  });
  return {
    ledger,
    eventIds: ['e1', 'e2'],
    attachments: [row(1), row(2), row(3, { status: 'failed_permanent', sha256: null, bytes: 0 })],
    blobs: new Map([
      ['path/1', 'content 1'],
      ['path/2', 'content 2'],
    ]),
    deadLetters: [
      { origin: 'run.events.raw/0/7', key: null, value: Buffer.from(POISON) },
      { origin: 'run.downloads.pending/3/9', key: 'm3', value: Buffer.from('{}') },
    ] as DeadLetterSeen[],
    listed: ['run.events.raw/0/7', 'run.downloads.pending/3/9'],
  };
}

function check(input: ReturnType<typeof world>) {
  return verify({
    ...input,
    eventsTopic: 'run.events.raw',
    hashBlob: async (path) => {
      const content = input.blobs.get(path);
      return content === undefined ? undefined : { sha256: sha(content), bytes: content.length };
    },
  });
}

async function problemsAfter(damage: (input: ReturnType<typeof world>) => void): Promise<Problem[]> {
  const input = world();
  damage(input);
  const verdict = await check(input);
  expect(verdict.ok).toBe(verdict.problems.length === 0);
  return verdict.problems.map(({ problem }) => problem).sort();
}

describe('verification', () => {
  test('a whole run is well, and counted', async () => {
    expect(await check(world())).toEqual({
      ok: true,
      rows: { events: 2, attachments: 3 },
      bytes: 18,
      lost: 0,
      duplicates: 0,
      deadLetters: { expected: 2, found: 2 },
      problems: [],
    });
  });

  const damages: [string, (input: ReturnType<typeof world>) => void, Problem[]][] = [
    ['an event without a row', (input) => input.eventIds.pop(), ['event-missing']],
    ['an event with two rows', (input) => input.eventIds.push('e1'), ['event-duplicate']],
    ['an event that nobody sent', (input) => input.eventIds.push('e9'), ['event-unknown']],
    ['an attachment without a row', (input) => input.attachments.splice(0, 1), ['attachment-missing']],
    ['an attachment with two rows', (input) => input.attachments.push(input.attachments[0]!), ['attachment-duplicate']],
    [
      'an attachment that nobody named',
      (input) => input.attachments.push({ ...input.attachments[0]!, mediaId: 'm9' }),
      ['attachment-unknown'],
    ],
    [
      'another status',
      (input) => input.attachments.splice(0, 1, { ...input.attachments[0]!, status: 'failed' }),
      ['status-wrong'],
    ],
    [
      'another SHA-256 in the row',
      (input) => input.attachments.splice(0, 1, { ...input.attachments[0]!, sha256: sha('other') }),
      ['sha256-wrong'],
    ],
    [
      'another size in the row',
      (input) => input.attachments.splice(0, 1, { ...input.attachments[0]!, bytes: 8 }),
      ['sha256-wrong'],
    ],
    ['no stored bytes', (input) => input.blobs.delete('path/2'), ['blob-missing']],
    ['other stored bytes', (input) => input.blobs.set('path/2', 'content X'), ['blob-wrong']],
    ['a poison record that is no dead letter', (input) => input.deadLetters.shift(), ['dead-letter-missing']],
    ['a failed download that is no dead letter', (input) => input.deadLetters.pop(), ['dead-letter-missing']],
    [
      'a dead letter whose bytes were changed',
      (input) => input.deadLetters.splice(0, 1, { ...input.deadLetters[0]!, value: Buffer.from('{"cut"}') }),
      ['dead-letter-missing', 'dead-letter-unknown'],
    ],
    ['a dead letter without a row', (input) => input.listed.pop(), ['dead-letter-unlisted']],
    [
      'a dead letter of an attachment that was well',
      (input) => input.deadLetters.push({ ...input.deadLetters[1]!, key: 'm1' }),
      ['dead-letter-unknown'],
    ],
  ];
  for (const [name, damage, problems] of damages) {
    test(`${name} is found, and nothing else`, async () => {
      expect(await problemsAfter(damage)).toEqual(problems);
    });
  }

  test('a dead letter that came twice, after a kill, is no problem', async () => {
    expect(await problemsAfter((input) => input.deadLetters.push(input.deadLetters[1]!))).toEqual([]);
  });

  test('lost and duplicates are counted over events and attachments, examples name no secret', async () => {
    const input = world();
    input.eventIds = ['e1', 'e1', 'e1'];
    input.attachments.splice(0, 1);
    input.blobs.clear();
    const verdict = await check(input);
    expect(verdict.lost).toBe(3);
    expect(verdict.duplicates).toBe(2);
    expect(JSON.stringify(verdict.problems)).not.toContain('signature');
  });

  test('an empty run of an empty ledger is well, of a full one it is not', async () => {
    const nothing = { ...world(), eventIds: [], attachments: [], deadLetters: [] };
    expect((await check({ ...nothing, ledger: [] })).ok).toBe(true);
    expect((await check(nothing)).lost).toBe(2 + 3 + 2);
  });
});
