/**
 * Whose dead letters each topic holds and where their records came from, by the topology. A header may choose among the
 * topics that the worker consumes; it can never send a replay anywhere else.
 */
import { type Topology, TopologyInvalidError, type TopologyTopic } from '@weir/sdk';

export interface Route {
  readonly worker: string;
  readonly group: string;
  /** The dead-letter topic: Kafka's name, and its name in a declaration. */
  readonly topic: string;
  readonly declared: string;
  readonly partitions: number;
  readonly maxMessageBytes: number;
  /** What the worker consumes; never empty. */
  readonly targets: readonly TopologyTopic[];
}

/** What headers add to a record on its way to a dead-letter topic. */
const STORY_BYTES = 64 * 1024;

/**
 * Every dead-letter topic but the handler's own: a letter about a letter would go round for ever.
 * @throws TopologyInvalidError when there is none: there would be nothing to do
 */
export function routesOf(topology: Topology, self: string): Route[] {
  const routes = topology.workers.flatMap((worker): Route[] => {
    if (worker.name === self || !worker.deadLetters) return [];
    const { name, partitions } = worker.deadLetters;
    const declared = name.startsWith(`${topology.prefix}.`) ? name.slice(topology.prefix.length + 1) : name;
    const maxMessageBytes = Math.max(...worker.consumes.map((each) => each.maxMessageBytes)) + STORY_BYTES;
    return [
      {
        worker: worker.name,
        group: worker.group,
        topic: name,
        declared,
        partitions,
        maxMessageBytes,
        targets: worker.consumes,
      },
    ];
  });
  if (routes.length === 0) {
    throw new TopologyInvalidError(
      '(WEIR_TOPOLOGY)',
      'no worker has a dead-letter topic, so the dlq-handler has nothing to consume; point WEIR_TOPOLOGY to the file of the whole deployment',
    );
  }
  return routes;
}

/** The one of the worker's topics that the record came from first; its first topic when that is not known. */
export function targetOf(route: Route, originTopic: string): TopologyTopic {
  return route.targets.find((target) => target.name === originTopic) ?? route.targets[0]!;
}
