/** Asks workers' HTTP servers. A server that is slow or gone gives no answer rather than an error. */
import { z } from 'zod';
import type { Probe, ScalingFacts } from './supervisor.ts';

const PATIENCE_MS = 1_500;

const scalingReply = z.looseObject({
  desiredReplicas: z.number(),
  signalValue: z.number(),
  reason: z.string(),
  why: z.string().default(''),
  backlog: z.number().default(0),
  lagSeconds: z.number().nullish(),
  arrivalPerSecond: z.number().nullish(),
});

async function get(port: number, path: string): Promise<Response | undefined> {
  try {
    return await fetch(`http://127.0.0.1:${port}${path}`, { signal: AbortSignal.timeout(PATIENCE_MS) });
  } catch {
    return undefined;
  }
}

export const httpProbe: Probe = {
  async ready(port) {
    const response = await get(port, '/readyz');
    await response?.body?.cancel().catch(() => undefined);
    return response?.status === 200;
  },
  async scaling(port): Promise<ScalingFacts | undefined> {
    const response = await get(port, '/scaling');
    if (response?.status !== 200) {
      await response?.body?.cancel().catch(() => undefined);
      return undefined;
    }
    const parsed = scalingReply.safeParse(await response.json().catch(() => undefined));
    if (!parsed.success) return undefined;
    const { lagSeconds, arrivalPerSecond, ...facts } = parsed.data;
    return { ...facts, lagSeconds: lagSeconds ?? undefined, arrivalPerSecond: arrivalPerSecond ?? undefined };
  },
};

/** Breakers that are not closed, worst state first, from a worker's metrics: `hosts open`. */
export async function readBreakers(port: number): Promise<string[]> {
  const response = await get(port, '/metrics');
  if (response?.status !== 200) return [];
  const text = await response.text().catch(() => '');
  return openBreakers(text);
}

export function openBreakers(metrics: string): string[] {
  const found: string[] = [];
  for (const line of metrics.split('\n')) {
    if (!line.startsWith('kafka_circuit_breaker_state{') || !/ 1(\.0)?$/.test(line)) continue;
    const dependency = /dependency="([^"]*)"/.exec(line)?.[1];
    const state = /state="([^"]*)"/.exec(line)?.[1];
    if (dependency && state && state !== 'closed') found.push(`${dependency} ${state}`);
  }
  return found;
}
