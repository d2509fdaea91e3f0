import { xactEvents } from '@weir/contracts';
import { expect, test } from 'vitest';
import { eventOf } from './event.fixture.ts';
import { readEvent } from './reading.ts';
import { eventRow } from './row.ts';

const source = { partition: 3, offset: 42, timestamp: 1000, now: 2000 };
const data = {
  assignmentId: 'A-1',
  originalAssignmentId: 'A-0',
  description: 'see https://h.example/d?token=TOPSECRET',
  xnAddress: 'X',
  carrierId: 7,
  estimateVersion: '3.1',
  note: 'n',
  author: 'au',
  senderReviewerName: 'srn',
  senderReviewerEmail: 'sre',
  carrierReviewerName: 'crn',
  carrierReviewerEmail: 'cre',
  dateTime: '2026-11-21 10:00',
  adm: { coverageLoss: { claimNumber: 'C-9' } },
  contact: {
    type: 'insured',
    name: 'N',
    contactMethods: { phone: { type: 'mobile', number: '1', extension: '2' }, email: { address: 'e@x' } },
  },
  attachments: ['https://h.example/a.pdf?sig=TOPSECRET'],
};

test('a row has every column of the table and no other', () => {
  const row = eventRow(readEvent(eventOf({ data })), source);
  expect(new Set(Object.keys(row))).toEqual(new Set(xactEvents.columns.map((column) => column.name)));
});

test('every column comes from where the contract says', () => {
  expect(eventRow(readEvent(eventOf({ eventId: 'E', data })), source)).toMatchObject({
    event_id: 'E',
    trace_id: 'trace-1',
    version: '2',
    event_date: '2026-11-22',
    ingested_at: 1000,
    created_at: 2000,
    assignment_id: 'A-1',
    original_assignment_id: 'A-0',
    xn_address: 'X',
    carrier_id: '7',
    estimate_version: '3.1',
    note: 'n',
    author: 'au',
    sender_reviewer_name: 'srn',
    sender_reviewer_email: 'sre',
    carrier_reviewer_name: 'crn',
    carrier_reviewer_email: 'cre',
    event_datetime_mdt: '2026-11-21 10:00',
    claim_number: 'C-9',
    contact_type: 'insured',
    contact_name: 'N',
    contact_phone_type: 'mobile',
    contact_phone_number: '1',
    contact_phone_extension: '2',
    contact_email_address: 'e@x',
    source_partition: 3,
    source_offset: 42,
  });
});

test('no column keeps a query string, data as text or as an object', () => {
  for (const given of [data, JSON.stringify(data), JSON.stringify(data).replaceAll('/', '\\/')]) {
    const row = JSON.stringify(eventRow(readEvent(eventOf({ data: given })), source));
    expect(row).not.toContain('TOPSECRET');
    expect(row).toContain('https://h.example/a.pdf?[redacted]');
  }
});

test('what is missing, or of another kind than expected, is null', () => {
  const row = eventRow(
    readEvent(eventOf({ data: { note: { deep: 1 }, contact: 'Bob', adm: [1], author: ' ' } })),
    source,
  );
  expect(row).toMatchObject({ note: null, contact_name: null, claim_number: null, author: null, assignment_id: null });
});

test('names that every object inherits are not data', () => {
  expect(eventRow(readEvent(eventOf({ data: { contact: { contactMethods: {} } } })), source).contact_type).toBeNull();
  expect(eventRow(readEvent(eventOf({ data: JSON.stringify({ __proto__: 1 }) })), source).note).toBeNull();
});
