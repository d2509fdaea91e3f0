/**
 * Where the records of each retry topic go back to. It follows from the topology alone: a retry topic belongs to one
 * worker, and that worker consumes one or several topics. A header may choose among those, never name another: anybody
 * can write headers.
 */
import { type Topology, TopologyInvalidError, type TopologyTopic, type TopologyWorker } from '@weir/sdk';

export interface Route {
  /** Kafka's name of the retry topic, and its name in a declaration. */
  readonly topic: string;
  readonly declared: string;
  readonly partitions: number;
  readonly maxMessageBytes: number;
  readonly delayMs: number;
  /** Group of the worker whose retries these are. */
  readonly group: string;
  /** What that worker consumes; never empty. */
  readonly targets: readonly TopologyTopic[];
}

/** What headers add to a record on its way to a retry topic. */
const STORY_BYTES = 64 * 1024;

/**
 * Every retry topic but the scheduler's own (it has none unless somebody gives it some).
 * @throws TopologyInvalidError when there is no retry topic at all: there would be nothing to do
 */
export function routesOf(topology: Topology, self: string): Route[] {
  const routes = topology.workers
    .filter((worker) => worker.name !== self)
    .flatMap((worker) => routesOfWorker(topology, worker));
  if (routes.length === 0) {
    throw new TopologyInvalidError(
      '(WEIR_TOPOLOGY)',
      'no worker has a retry topic, so the retry-scheduler has nothing to consume; point WEIR_TOPOLOGY to the file of the whole deployment',
    );
  }
  return routes;
}

function routesOfWorker(topology: Topology, worker: TopologyWorker): Route[] {
  return worker.retry.map(({ name, delayMs, partitions }) => ({
    topic: name,
    declared: declaredName(topology.prefix, name),
    partitions,
    maxMessageBytes: Math.max(...worker.consumes.map((each) => each.maxMessageBytes)) + STORY_BYTES,
    delayMs,
    group: worker.group,
    targets: worker.consumes,
  }));
}

/** The topic's name without the prefix, as a declaration has it. */
export function declaredName(prefix: string, topic: string): string {
  return topic.startsWith(`${prefix}.`) ? topic.slice(prefix.length + 1) : topic;
}

/** The one of the worker's topics that the record came from first; its first topic when the header does not say. */
export function targetOf(route: Route, origin: string | undefined): TopologyTopic {
  const topic = origin?.slice(0, Math.max(0, origin.indexOf('/')));
  return route.targets.find((target) => target.name === topic) ?? route.targets[0]!;
}
