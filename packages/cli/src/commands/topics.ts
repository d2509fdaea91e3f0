/** `weir topics create|list` and `weir topology`: what the declarations need of Kafka, and what is there. */
import { writeFile } from 'node:fs/promises';
import { deriveTopics } from '@weir/sdk';
import type { Command } from 'commander';
import { brokerList, wholeNumber } from '../options.ts';
import { connect, type Session, withAdmin, withKafka } from '../session.ts';

interface KafkaFlags {
  brokers?: string;
  prefix?: string;
}

export function addTopics(program: Command, open: () => Session): void {
  const topics = program.command('topics').description('the topics that the declarations name');

  topics
    .command('create')
    .description('create every topic that does not exist: consumed, produced, retries, dead letters')
    .option('--brokers <list>', 'host:port, separated by commas; else KAFKA_BROKERS', brokerList)
    .option('--prefix <prefix>', 'put before every name; else WEIR_TOPIC_PREFIX, else xact')
    .option(
      '--replication <factor>',
      'replicas of each partition; else the cluster’s default',
      wholeNumber('--replication', 1, 32),
    )
    .action(async (flags: KafkaFlags & { replication?: number }) => {
      const { resolvePipeline } = await import('../pipeline.ts');
      const session = open();
      const env = withKafka(session.env, flags);
      const specs = deriveTopics(resolvePipeline(() => env).resolved).map((spec) => ({
        ...spec,
        ...(flags.replication === undefined ? {} : { replicationFactor: flags.replication }),
      }));
      const made = new Set(await withAdmin(connect(env, session).kafka, (admin) => admin.createTopics(specs)));
      for (const { topic, partitions } of specs) {
        session.print(`${made.has(topic) ? 'created' : 'exists '}  ${topic}  ${partitions} partitions`);
      }
    });

  topics
    .command('list')
    .description('what is there and what is missing, with the records each topic holds')
    .option('--brokers <list>', 'host:port, separated by commas; else KAFKA_BROKERS', brokerList)
    .option('--prefix <prefix>', 'put before every name; else WEIR_TOPIC_PREFIX, else xact')
    .action(async (flags: KafkaFlags) => {
      const { resolvePipeline } = await import('../pipeline.ts');
      const session = open();
      const env = withKafka(session.env, flags);
      const specs = deriveTopics(resolvePipeline(() => env).resolved);
      await withAdmin(connect(env, session).kafka, async (admin) => {
        const counts = await admin.partitionCounts(specs.map(({ topic }) => topic));
        const offsets = await admin.offsets([...counts.keys()]);
        for (const { topic, partitions } of specs) {
          const count = counts.get(topic);
          const records = offsets
            .filter((each) => each.topic === topic)
            .reduce((sum, { start, end }) => sum + end - start, 0);
          const note = count !== undefined && count !== partitions ? `, declared with ${partitions}` : '';
          session.print(
            count === undefined ? `${topic}  missing` : `${topic}  ${count} partitions${note}, ${records} records`,
          );
          if (count === undefined) process.exitCode = 1;
        }
      });
    });

  program
    .command('topology')
    .description('write the topology file, which retry-scheduler, dlq-handler and scaler read (WEIR_TOPOLOGY)')
    .option('--out <file>', 'where to; standard output without')
    .option('--prefix <prefix>', 'put before every name; else WEIR_TOPIC_PREFIX, else xact')
    .action(async (flags: { out?: string; prefix?: string }) => {
      const { resolvePipeline } = await import('../pipeline.ts');
      const session = open();
      const env = withKafka(session.env, flags);
      const text = JSON.stringify(resolvePipeline(() => env).topology, null, 2);
      if (flags.out === undefined) session.print(text);
      else await writeFile(flags.out, `${text}\n`);
    });
}
