/**
 * npm run bench:pipeline [-- --events N] [--kafka] [--s3] [--profile FOLDER] [--rounds N] [--json FILE] [--strict]
 *
 * The whole pipeline end to end, doing the work that PIPELINE section 8 was measured with: 5,000 events with 3 attachments
 * of 20 KB in the mean, one process for each of ingester, download worker and result processor, on this machine together
 * with broker and file server. Ends when both tables are complete, then verifies every row and every byte.
 */
import { writeFileSync } from 'node:fs';
import { availableParallelism, cpus, loadavg, release } from 'node:os';
import { parseArgs } from 'node:util';
import { table } from '../rounds.ts';
import { type Measured, measure } from './measure.ts';

/** PIPELINE section 8, first row. */
const REPLACED = { eventsPerSecond: 49.5, downloadsPerSecond: 149, cpuMs: 5.0, rss: '85-275' };

const { values } = parseArgs({
  options: {
    events: { type: 'string', default: '5000' },
    rounds: { type: 'string', default: '1' },
    kafka: { type: 'boolean', default: false },
    s3: { type: 'boolean', default: false },
    profile: { type: 'string' },
    env: { type: 'string', multiple: true, default: [] },
    json: { type: 'string' },
    strict: { type: 'boolean', default: false },
  },
});
const say = (text: string) => process.stdout.write(`${text}\n`);

say(
  `${availableParallelism()} x ${cpus()[0]?.model}, Linux ${release()}, Node ${process.version}, ${new Date().toISOString().slice(0, 10)}`,
);
const rounds: Measured[] = [];
for (let round = 1; round <= Number(values.rounds); round++) {
  const load = loadavg()[0]!.toFixed(1);
  const measured = await measure({
    events: Number(values.events),
    kafka: values.kafka,
    s3: values.s3,
    profile: values.profile,
    env: Object.fromEntries(values.env.map((each) => each.split(/=(.*)/s).slice(0, 2))),
  });
  rounds.push(measured);
  say(`\n## Round ${round} (load average before it: ${load})\n\n${render(measured)}`);
}
if (values.json) writeFileSync(values.json, `${JSON.stringify(rounds, null, 2)}\n`);
const best = rounds.every(
  ({ verdict, eventsPerSecond, workerCpuMs }) =>
    verdict.ok && eventsPerSecond >= 10 * REPLACED.eventsPerSecond && workerCpuMs.download <= 0.7,
);
if (values.strict && !best) process.exitCode = 1;

function render(run: Measured): string {
  const times = (ours: number, theirs: number) => `${(ours / theirs).toFixed(1)} x`;
  const summary = table([
    ['', 'Weir', 'replaced system', ''],
    [
      'events/s',
      run.eventsPerSecond.toFixed(0),
      String(REPLACED.eventsPerSecond),
      times(run.eventsPerSecond, REPLACED.eventsPerSecond),
    ],
    [
      'downloads/s',
      run.downloadsPerSecond.toFixed(0),
      String(REPLACED.downloadsPerSecond),
      times(run.downloadsPerSecond, REPLACED.downloadsPerSecond),
    ],
    [
      'CPU of the three workers, ms per attachment',
      run.workerCpuMs.sum.toFixed(2),
      REPLACED.cpuMs.toFixed(1),
      times(REPLACED.cpuMs, run.workerCpuMs.sum),
    ],
    ['of it the download worker', run.workerCpuMs.download.toFixed(2), '', ''],
    ['first attachment row after, s', run.firstRowSeconds.toFixed(2), '', ''],
    ['all rows after, s', run.seconds.toFixed(2), '', ''],
    ['attachments missing', String(run.verdict.lost), '212', ''],
    ['CPU of storing a file of 20 KB here, ms', (run.storingCpuUs / 1000).toFixed(2), '', ''],
    ['rows too many', String(run.verdict.duplicates), '', ''],
  ]);
  const processes = table([
    ['process', 'CPU s', 'ms per attachment', 'of a core', 'peak RSS, MB'],
    ...run.processes.map(({ name, cpuSeconds, peakRssMb }) => [
      name,
      cpuSeconds.toFixed(2),
      ((cpuSeconds * 1000) / run.attachments).toFixed(3),
      `${((100 * cpuSeconds) / run.seconds).toFixed(0)} %`,
      peakRssMb.toFixed(0),
    ]),
  ]);
  const { verdict } = run;
  const verified = verdict.ok
    ? `verified: ${verdict.rows.events} events, ${verdict.rows.attachments} attachments, ${verdict.bytes.toLocaleString('en-US')} bytes hashed again, nothing missing, nothing twice`
    : `NOT AS IT SHOULD BE: ${JSON.stringify(verdict.problems)}`;
  return `${run.events} events, ${run.attachments} attachments, ${run.commits.events} + ${run.commits.attachments} files in the tables, on ${run.on}\n\n${summary}\n\n${processes}\n\n${verified}`;
}
