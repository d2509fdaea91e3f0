/** Where a setting's value comes from, as Kafka numbers it. */
export const SOURCE = { topic: 1, broker: 4, default: 5 } as const;

/** The kinds of things that have settings, as Kafka numbers them. */
export const RESOURCE = { topic: 2, node: 4 } as const;
