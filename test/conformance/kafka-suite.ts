/**
 * What Weir relies on, of a broker and of the adapter together. It runs on the dev broker and on Apache Kafka: what
 * passes on one and fails on the other is a bug in the dev broker or a promise that Kafka does not keep.
 *
 * Every test makes its own topic and group. Most wait for timeouts that only the broker can shorten, so they run side by
 * side. The facts are in a file for each subject; who gets which partition has a suite of its own (assigner-suite.ts).
 */
import { afterAll, beforeAll, describe } from 'vitest';
import { adminFacts } from './admin-facts.ts';
import { commitFacts } from './commit-facts.ts';
import { fenceFacts } from './fence-facts.ts';
import { flowFacts } from './flow-facts.ts';
import { type Capabilities, checkOn, type Harness } from './harness.ts';
import { joinFacts } from './join-facts.ts';
import { recordFacts } from './record-facts.ts';
import { troubleFacts } from './trouble-facts.ts';

export function kafkaSuite(name: string, open: () => Promise<Harness>, can: Capabilities): void {
  describe.concurrent(name, () => {
    let harness: Harness;
    beforeAll(async () => {
      harness = await open();
    });
    afterAll(() => harness?.stop());

    const check = checkOn(() => harness);
    recordFacts(check);
    commitFacts(check);
    flowFacts(check);
    joinFacts(check);
    fenceFacts(check);
    troubleFacts(check, can);
    adminFacts(check);
  });
}
