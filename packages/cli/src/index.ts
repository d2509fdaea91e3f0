/** @weir/cli as a library: what tests and tools outside of it need. The command line is main.ts. */
export { type DemoContext, type DemoOptions, runDemo } from './demo/demo.ts';
export type { Report } from './demo/report.ts';
export { plainStage, type Stage } from './demo/stage.ts';
export { type AttachmentRow, type DeadLetterSeen, type Verdict, verify } from './demo/verify.ts';
export { ERRORS } from './errors.ts';
export { type Pipeline, resolvePipeline } from './pipeline.ts';
export { type AttachmentEntry, isAttachment, isPoison, type LedgerEntry, readLedger } from './source/ledger.ts';
