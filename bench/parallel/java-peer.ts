/**
 * confluent's parallel-consumer itself: its jars from Maven, fetched once to ~/.cache/weir, and the small program in
 * java/ that drives it, compiled with `javac` for each run.
 */
import { execFile } from 'node:child_process';
import { existsSync } from 'node:fs';
import { mkdir, mkdtemp, readdir, rename, rm, writeFile } from 'node:fs/promises';
import { homedir, tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { promisify } from 'node:util';

const run = promisify(execFile);
export const PARALLEL_CONSUMER_VERSION = '0.5.3.3';
export const KAFKA_CLIENTS_VERSION = '3.9.1';
const SOURCE = fileURLToPath(new URL('./java/ParallelConsumerBench.java', import.meta.url));

export interface JavaPeer {
  /** The command line that runs it; its own arguments follow. */
  readonly command: readonly string[];
  /** Removes what was compiled; the jars stay. */
  remove(): Promise<void>;
}

export async function buildJavaPeer(): Promise<JavaPeer> {
  const jars = join(await peerJars(), '*');
  const classes = await mkdtemp(join(tmpdir(), 'weir-bench-java-'));
  await run('javac', ['-cp', jars, '-d', classes, SOURCE]);
  return {
    command: ['java', '-cp', `${jars}:${classes}`, 'ParallelConsumerBench'],
    remove: () => rm(classes, { recursive: true, force: true }),
  };
}

async function peerJars(): Promise<string> {
  const cache = join(homedir(), '.cache', 'weir');
  const folder = join(cache, `parallel-consumer-${PARALLEL_CONSUMER_VERSION}-kafka-clients-${KAFKA_CLIENTS_VERSION}`);
  if (existsSync(folder)) return folder;
  await mkdir(cache, { recursive: true });
  const work = await mkdtemp(join(cache, 'download-'));
  try {
    await writeFile(join(work, 'pom.xml'), POM);
    await run(
      'mvn',
      ['-q', '-B', 'dependency:copy-dependencies', `-DoutputDirectory=${join(work, 'jars')}`, '-DincludeScope=runtime'],
      { cwd: work },
    );
    if ((await readdir(join(work, 'jars'))).length === 0) throw new Error('Maven copied no jars');
    // complete or not there at all; another run may have been quicker
    await rename(join(work, 'jars'), folder).catch((error: unknown) => {
      if (!existsSync(folder)) throw error;
    });
    return folder;
  } finally {
    await rm(work, { recursive: true, force: true });
  }
}

const POM = `<project xmlns="http://maven.apache.org/POM/4.0.0"><modelVersion>4.0.0</modelVersion>
<groupId>weir.bench</groupId><artifactId>parallel-consumer-jars</artifactId><version>1</version><packaging>pom</packaging>
<dependencies>
<dependency><groupId>io.confluent.parallelconsumer</groupId><artifactId>parallel-consumer-core</artifactId><version>${PARALLEL_CONSUMER_VERSION}</version></dependency>
<dependency><groupId>org.apache.kafka</groupId><artifactId>kafka-clients</artifactId><version>${KAFKA_CLIENTS_VERSION}</version></dependency>
<dependency><groupId>org.slf4j</groupId><artifactId>slf4j-nop</artifactId><version>2.0.17</version></dependency>
</dependencies></project>
`;
