/** Events whose attachments are on the file server of the run, and the ledger that says what must come of them. */
import { planSource, type SourcePlan } from '../../../packages/cli/src/source/plan.ts';
import { filePath, NumberedFile } from './files.ts';

export interface WorkOptions {
  readonly events: number;
  readonly seed?: number;
  /** Of the file servers; files go to them in turn. */
  readonly filesUrls: readonly string[];
  readonly fileBytes?: number;
  /** How long the server waits before file number n; 0 unless told. */
  readonly waitMs?: (number: number) => number;
}

export function planWork(options: WorkOptions): Promise<SourcePlan> {
  const { filesUrls, fileBytes = 20 * 1024, waitMs = () => 0 } = options;
  let made = 0;
  return planSource({
    events: options.events,
    seed: options.seed ?? 1,
    faults: false,
    files: { next: () => new NumberedFile(made++, fileBytes) },
    hosts: 1,
    startAt: Date.now(),
    latencyMs: 0,
    serve: (_host, { file }) => {
      const { number, bytes } = file as NumberedFile;
      return `${filesUrls[number % filesUrls.length]}${filePath({ number, bytes, waitMs: waitMs(number) }, file.name)}`;
    },
  });
}
