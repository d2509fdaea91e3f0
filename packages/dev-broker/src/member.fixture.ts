/**
 * A group member in a process of its own: `node member.fixture.ts BROKERS GROUP TOPIC`. JSON lines tell its assignments
 * and every record, which is committed before the next batch; SIGTERM makes it leave.
 */
import { kafkaOf } from './kafkajs-client.fixture.ts';

const [brokers = '', groupId = '', topic = ''] = process.argv.slice(2);
const tell = (fields: object) => process.stdout.write(`${JSON.stringify(fields)}\n`);

const consumer = kafkaOf(brokers.split(','), { clientId: `member-${process.pid}` }).consumer({
  groupId,
  heartbeatInterval: 100,
  maxWaitTimeInMs: 100,
  sessionTimeout: 4000,
});
consumer.on('consumer.group_join', ({ payload }) => {
  tell({ assigned: (payload.memberAssignment[topic] ?? []).length });
});
process.once('SIGTERM', () => {
  void consumer.disconnect().then(() => process.exit(0));
});
await consumer.connect();
await consumer.subscribe({ topic, fromBeginning: true });
await consumer.run({
  autoCommit: false,
  eachMessage: async ({ partition, message }) => {
    tell({ partition, value: message.value?.toString() });
    await consumer.commitOffsets([{ topic, partition, offset: String(Number(message.offset) + 1) }]);
  },
});
