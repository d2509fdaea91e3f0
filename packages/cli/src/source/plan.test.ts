import { createHash } from 'node:crypto';
import { Event } from '@weir/contracts';
import { describe, expect, test } from 'vitest';
import { MadeFiles } from './files.ts';
import { eventIdOf, mediaIdOf } from './identity.ts';
import { isAttachment, isPoison } from './ledger.ts';
import { type PlanOptions, planSource } from './plan.ts';
import type { Attachment } from './server.ts';

function plan(over: Partial<PlanOptions> = {}) {
  const served: { host: number; attachment: Attachment; url: string }[] = [];
  const seed = over.seed ?? 7;
  return planSource({
    events: 300,
    seed,
    faults: false,
    files: new MadeFiles(seed),
    hosts: 4,
    startAt: Date.UTC(2026, 0, 1),
    latencyMs: 10,
    serve: (host, attachment) => {
      const url = `http://127.0.0.${host + 1}:4000/a/${served.length}/${encodeURIComponent(attachment.file.name)}`;
      served.push({ host, attachment, url });
      return url;
    },
    ...over,
  }).then((made) => ({ ...made, served }));
}

describe('the plan of the source', () => {
  test('the same seed gives the same records and ledger, another seed others', async () => {
    const [one, two, other] = [await plan({ faults: true }), await plan({ faults: true }), await plan({ seed: 8 })];
    expect(two.records).toEqual(one.records);
    expect(two.ledger).toEqual(one.ledger);
    expect(other.ledger[0]).not.toEqual(one.ledger[0]);
  });

  test('every event is a valid one, and three attachments come in the mean', async () => {
    const { records, totals } = await plan({ events: 1000 });
    for (const { key, value } of records) {
      expect(Event.parse(JSON.parse(value.toString())).traceId).toBe(key);
    }
    expect(totals.attachments / 1000).toBeGreaterThan(2.7);
    expect(totals.attachments / 1000).toBeLessThan(3.3);
    expect(totals.bytes / totals.attachments).toBeGreaterThan(15_000);
    expect(totals.bytes / totals.attachments).toBeLessThan(25_000);
  });

  test('the ledger has each event once or by its attachments, with ids and hashes of what is served', async () => {
    const { records, ledger, served } = await plan();
    const events = new Set(ledger.map(({ event }) => event));
    expect(events.size).toBe(300);
    for (const { key } of records) expect(events.has(eventIdOf(key!))).toBe(true);
    const attachments = ledger.filter(isAttachment);
    expect(new Set(attachments.map(({ mediaId }) => mediaId)).size).toBe(attachments.length);
    for (const entry of attachments.slice(0, 50)) {
      const { attachment } = served.find(({ url }) => url === entry.url.replace(/\?.*/, ''))!;
      const chunks: Uint8Array[] = [];
      for await (const chunk of attachment.file.read(0, attachment.file.bytes)) chunks.push(chunk);
      const content = Buffer.concat(chunks);
      expect(content.length).toBe(entry.bytes);
      expect(createHash('sha256').update(content).digest('hex')).toBe(entry.sha256);
      expect(mediaIdOf(entry.traceId, entry.url)).toBe(entry.mediaId);
    }
  });

  test('it has what real events have: JSON in a string, a URL named twice, none at all, no assignment, a signed URL', async () => {
    const { records, ledger } = await plan({ events: 1000 });
    const events = records.map(({ value }) => JSON.parse(value.toString()) as { version: unknown; data: unknown });
    const data = events.map((event) =>
      typeof event.data === 'string'
        ? (JSON.parse(event.data) as Record<string, unknown>)
        : (event.data as Record<string, unknown>),
    );
    const urls = data.map((each) => (each.attachments ?? []) as string[]);
    expect(events.some((event) => typeof event.data === 'string')).toBe(true);
    expect(new Set(events.map((event) => typeof event.version))).toEqual(new Set(['number', 'string']));
    expect(urls.some((list) => new Set(list).size < list.length)).toBe(true);
    expect(urls.some((list) => list.length === 0)).toBe(true);
    expect(data.some((each, at) => each.assignmentId === undefined && urls[at]!.length > 0)).toBe(true);
    expect(ledger.some((entry) => isAttachment(entry) && entry.url.includes('?signature='))).toBe(true);
  });

  test('faults belong to hosts, and poison records are expected dead letters with their hash', async () => {
    const { records, ledger, totals } = await plan({ faults: true, events: 600 });
    const faulty = ledger.filter(isAttachment).filter(({ fault }) => fault !== null);
    expect(faulty.length).toBe(totals.faults);
    expect(faulty.some(({ url }) => new URL(url).hostname === '127.0.0.1')).toBe(false);
    const kinds = new Set(faulty.map(({ fault }) => fault!.split(':')[0]));
    expect(kinds).toEqual(new Set(['not-found', 'oversized', 'broken', 'flaky', 'truncated', 'reset', 'slow']));
    const poison = ledger.filter(isPoison);
    expect(poison.length).toBe(6);
    const sent = new Set(records.map(({ value }) => createHash('sha256').update(value).digest('hex')));
    for (const entry of poison) expect(sent.has(entry.sha256)).toBe(true);
    for (const entry of ledger.filter(isAttachment)) {
      if (entry.expectedStatus === 'completed') expect(entry.sha256).not.toBeNull();
      else expect(entry.sha256).toBeNull();
    }
  });
});
