/**
 * Rows about what is seen from outside: files of types that the replaced system took by name and refused by content
 * type after the whole download, redirects that it never looked at, signatures in its logs and tables, alerts on names that
 * nobody measured.
 */
import { createHash } from 'node:crypto';
import { readdir, readFile } from 'node:fs/promises';
import { createServer, type Server } from 'node:http';
import type { AddressInfo } from 'node:net';
import { join } from 'node:path';
import { xactAttachments, xactEvents } from '@weir/contracts';
import { openTable } from '@weir/lake';
import { afterAll, beforeAll, expect, test } from 'vitest';
import type { World } from './world.ts';

const ROW_MS = 120_000;
const NOTHING_WRONG = { ok: true, lost: 0, duplicates: 0, problems: [] };
const OFFICE = 'application/vnd.openxmlformats-officedocument';
/** As servers send them, and as they begin. */
const FILES: Readonly<Record<string, { type: string; body: Buffer }>> = {
  '/list.csv': { type: 'text/csv; charset=utf-8', body: Buffer.from('claim,amount\n1,2\n') },
  '/sheet.xlsx': { type: `${OFFICE}.spreadsheetml.sheet`, body: Buffer.from('PK\u0003\u0004 a sheet', 'latin1') },
  '/letter.docx': {
    type: `${OFFICE}.wordprocessingml.document`,
    body: Buffer.from('PK\u0003\u0004 a letter', 'latin1'),
  },
};
const SIGNATURE = 'X-Amz-Signature=5ec9e7f0a1';

export function outsideRows(world: () => World): void {
  let host: Server;
  let forbidden: Server;
  let asked = 0;

  beforeAll(async () => {
    forbidden = createServer((_request, response) => {
      asked++;
      response.end('not for you');
    });
    // Allowed is 127.0.0.1 by name; this is another host.
    await new Promise<void>((resolve) => forbidden.listen(0, '127.0.0.2', resolve));
    host = createServer((request, response) => {
      const file = FILES[request.url?.replace(/\?.*/s, '') ?? ''];
      if (file) response.writeHead(200, { 'content-type': file.type }).end(file.body);
      else {
        const { port } = forbidden.address() as AddressInfo;
        response.writeHead(302, { location: `http://127.0.0.2:${port}/inside.pdf` }).end();
      }
    });
    await new Promise<void>((resolve) => host.listen(0, '127.0.0.1', resolve));
  });
  afterAll(() => {
    host?.close();
    forbidden?.close();
  });
  const url = (path: string) => `http://127.0.0.1:${(host.address() as AddressInfo).port}${path}`;

  test(
    'csv, xlsx and docx are stored as what they are, and a signature stays out of tables, logs and metrics',
    async () => {
      const attachments = Object.entries(FILES).map(([path, { body }]) => ({
        url: url(`${path}?${SIGNATURE}`),
        sha256: createHash('sha256').update(body).digest('hex'),
        bytes: body.length,
      }));
      await world().publish(world().event(attachments));
      await world().settled();
      expect(await world().verify()).toMatchObject(NOTHING_WRONG);

      const { pipeline } = world();
      const secret = SIGNATURE.split('=')[1]!;
      const seen: string[] = [];
      let rows = 0;
      for (const spec of [xactEvents, xactAttachments]) {
        const table = await openTable({ store: pipeline.tables, path: spec.name, spec });
        for await (const row of table.scan()) {
          rows++;
          const text = JSON.stringify(row, (_key, value) => (typeof value === 'bigint' ? String(value) : value));
          if (text.includes(secret)) seen.push(`${spec.name}: ${text}`);
        }
        await table.close();
      }
      const logs = join(pipeline.folder, 'logs');
      for (const name of await readdir(logs))
        if ((await readFile(join(logs, name), 'utf8')).includes(secret)) seen.push(name);
      for (const name of ['event-ingester', 'download-worker', 'result-processor'])
        if ((await world().metrics(world().running(name))).includes(secret)) seen.push(`metrics of ${name}`);
      expect(rows).toBeGreaterThan(3);
      expect(seen).toEqual([]);
    },
    ROW_MS,
  );

  test(
    'a redirect to a host that is not allowed is refused before that host hears of it',
    async () => {
      const work = world().event([{ url: url('/away.pdf'), sha256: null, bytes: 0, status: 'failed_permanent' }]);
      await world().publish(work);
      await world().settled();
      const [row] = (await world().attachmentsOf(work)).values();
      expect(row).toMatchObject({
        status: 'failed_permanent',
        attempts: 1,
        errorMessage: expect.stringContaining('127.0.0.2'),
      });
      expect(asked).toBe(0);
      expect(await world().verify()).toMatchObject(NOTHING_WRONG);
    },
    ROW_MS,
  );

  test('every name in the alerts is measured by a service that runs', async () => {
    const alerts = await readFile(new URL('../../deploy/k8s/monitoring/alerts.yaml', import.meta.url), 'utf8');
    const used = new Set(
      [...alerts.matchAll(/\b(?:kafka|weir|download|delta)_[a-z_]+\b/g)].map(([name]) =>
        name.replace(/_(bucket|count)$/, ''),
      ),
    );
    const measured = new Set<string>();
    for (const name of ['event-ingester', 'download-worker', 'result-processor', 'retry-scheduler', 'dlq-handler'])
      for (const [, metric] of (await world().metrics(world().running(name))).matchAll(/^# HELP (\S+)/gm))
        measured.add(metric!);
    expect(used.size).toBeGreaterThan(8);
    expect([...used].filter((name) => !measured.has(name))).toEqual([]);
  });
}
