/**
 * Rows about the dead-letter command line, run as people run it. In the replaced system list and view crashed, and a
 * replay that failed committed every dead letter away.
 */
import { execFile } from 'node:child_process';
import { readFile, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { isAttachment } from '@weir/cli';
import { beforeAll, describe, expect, test } from 'vitest';
import { filePath, NumberedFile } from '../support/pipeline/files.ts';
import type { FileHost } from '../support/pipeline/pipeline.ts';
import type { Work, World } from './world.ts';

const ROW_MS = 120_000;
const MAIN = fileURLToPath(new URL('../../packages/cli/src/main.ts', import.meta.url));
const NOTHING_WRONG = { ok: true, lost: 0, duplicates: 0, problems: [] };

interface Listed {
  readonly id: string;
  readonly state: string;
  readonly errorClass: string;
  readonly key: string;
}

export function deskRows(world: () => World): void {
  describe('the dead-letter command line', () => {
    let host: FileHost;
    let work: Work;
    const mediaIds = () => work.ledger.filter(isAttachment).map(({ mediaId }) => mediaId);

    /** Three attachments that a host says it does not have. */
    beforeAll(async () => {
      host = await world().pipeline.startFileHost();
      await host.control(404);
      const attachments = [1, 2, 3].map((number) => {
        const file = new NumberedFile(number, 2_048);
        const path = filePath({ number, bytes: file.bytes, waitMs: 0 }, file.name);
        return { url: `${host.url}${path}`, sha256: null, bytes: 0, status: 'failed_permanent' as const };
      });
      work = world().event(attachments);
      await world().publish(work);
      await world().settled();
    }, ROW_MS);

    const weir = (args: readonly string[], env: Readonly<Record<string, string>> = {}) =>
      run(['dlq', ...args], { ...world().pipeline.envOf('dlq-handler'), ...env });

    /** Ours, oldest first: other rows have left dead letters, too. */
    const letters = async (): Promise<Listed[]> => {
      const { stdout, code } = await weir(['list', '--json', '--worker', 'download-worker']);
      expect(code).toBe(0);
      const all = stdout.split('\n').filter((line) => line !== '');
      return all.map((line) => JSON.parse(line) as Listed).filter(({ key }) => mediaIds().includes(key));
    };

    test(
      'lists and shows what is there, with its original bytes',
      async () => {
        const listed = await letters();
        expect(listed.map(({ state, errorClass }) => ({ state, errorClass }))).toEqual(
          Array.from({ length: 3 }, () => ({ state: 'dead', errorClass: 'permanent' })),
        );
        const { stdout, code } = await weir(['view', listed[0]!.id]);
        expect(code).toBe(0);
        expect(stdout).toContain(`"mediaId":"${listed[0]!.key}"`);
        expect(stdout).toContain('404');
      },
      ROW_MS,
    );

    test(
      'a replay that fails takes no letter away',
      async () => {
        const { pipeline } = world();
        const listed = await letters();
        // A topology that sends them to where no topic is.
        const path = join(pipeline.folder, 'wrong-topology.json');
        const topology = await readFile(join(pipeline.folder, 'topology.json'), 'utf8');
        await writeFile(path, topology.replaceAll('downloads.pending', 'downloads.nowhere'));
        const failed = await weir(['replay', '--all', '--worker', 'download-worker'], { WEIR_TOPOLOGY: path });
        expect(failed.code).toBe(1);
        expect(failed.stdout.match(/^failed /gm)?.length).toBeGreaterThanOrEqual(3);
        expect(await letters()).toEqual(listed);
        expect(await world().verify()).toMatchObject(NOTHING_WRONG);
      },
      ROW_MS,
    );

    test(
      'a replay brings back what can be had by now',
      async () => {
        await host.control(200);
        const ids = (await letters()).map(({ id }) => id);
        // Each gives a row of its result, and one of the letter's new state.
        world().alsoExpect({ attachments: ids.length, deadLetters: ids.length });
        const { stdout, code } = await weir(['replay', ...ids]);
        expect({ code, replayed: stdout.match(/^replayed /gm)?.length }).toEqual({ code: 0, replayed: 3 });
        await world().settled();
        const rows = [...(await world().attachmentsOf(work)).values()];
        expect(rows.map(({ status, replays }) => ({ status, replays }))).toEqual(
          Array.from({ length: 3 }, () => ({ status: 'completed', replays: 1 })),
        );
        expect((await letters()).map(({ state }) => state)).toEqual(['replayed', 'replayed', 'replayed']);
        expect(await world().verify()).toMatchObject(NOTHING_WRONG);
      },
      ROW_MS,
    );
  });
}

function run(args: readonly string[], env: Readonly<Record<string, string>>) {
  return new Promise<{ code: number; stdout: string; stderr: string }>((resolve) => {
    const child = execFile(
      process.execPath,
      ['--conditions=source', MAIN, ...args],
      { env: { ...env }, timeout: 60_000 },
      (_error, stdout, stderr) => resolve({ code: child.exitCode ?? -1, stdout, stderr }),
    );
  });
}
