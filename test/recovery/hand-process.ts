/** A hand as a process of its own, which can be frozen: hand-process.ts PARTITIONS WORK_MS; prints `handled N PLACE`. */
import { writeSync } from 'node:fs';
import { runWorker } from '@weir/sdk';
import { declareHand } from './hand.ts';

const [partitions, workMs] = process.argv.slice(2).map(Number);
await runWorker(
  declareHand({
    partitions: partitions!,
    workMs: workMs!,
    // Written before the record is done, so that nothing done goes untold.
    handled: (number, place) => void writeSync(1, `handled ${number} ${place}\n`),
  }),
);
