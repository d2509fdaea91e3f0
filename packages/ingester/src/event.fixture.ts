import { Event } from '@weir/contracts';

/** An event as the outside sends it, checked by its schema. */
export const eventOf = (over: Record<string, unknown> = {}): Event =>
  Event.parse({
    type: 'verisk.claims.property.xn.documentsReceived',
    version: 2,
    utcDateTime: '2026-11-21T23:30:00.1234567-02:00',
    traceId: 'trace-1',
    data: {
      assignmentId: 'A-1',
      estimateVersion: 3,
      attachments: ['https://h.example/a/photo 1.jpg?X-Amz-Signature=TOPSECRET', 'https://h.example/b.pdf'],
    },
    ...over,
  });
