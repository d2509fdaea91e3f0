/** Metrics of the scaler: what it answers for each group, and the process itself. Nothing here needs a worker to run. */
import type { ScalingAnswer } from '@weir/sdk';
import { collectDefaultMetrics, Gauge, Registry } from 'prom-client';

type Read = (answer: ScalingAnswer) => number | null;

const GAUGES: readonly { name: string; help: string; read: Read }[] = [
  {
    name: 'weir_desired_replicas',
    help: 'Replicas the plan wants for the group. A rise means more load or slower work.',
    read: (answer) => answer.desiredReplicas,
  },
  {
    name: 'weir_signal_value',
    help: 'What KEDA reads, target 1: the wanted replicas, nudged past the autoscaler’s tolerance where needed.',
    read: (answer) => answer.signalValue,
  },
  {
    name: 'weir_running_replicas',
    help: 'Members of the group at the last look. Below weir_desired_replicas for long means replicas that do not start.',
    read: (answer) => answer.running,
  },
  {
    name: 'weir_backlog_records',
    help: 'Records of the whole group that could be handled now. A rise means falling behind.',
    read: (answer) => answer.backlog,
  },
  {
    name: 'weir_group_lag_seconds',
    help: 'How long the oldest of them has waited, estimated from the arrivals. A rise means falling behind.',
    read: (answer) => answer.lagSeconds,
  },
  {
    name: 'weir_heaviest_worker_load',
    help: 'Load of the heaviest worker once the wanted ones run; 1 is all it can do. Above 1 replicas cannot keep up.',
    read: (answer) => answer.heaviest,
  },
  {
    name: 'weir_signal_age_seconds',
    help: 'Age of the answer. A rise means Kafka does not answer; past 90 there is no answer and KEDA holds.',
    read: (answer) => answer.ageSeconds,
  },
];

/** @param answers  called when scraped: one for each worker that can be answered for; the others are left out */
export function createMetrics(answers: () => readonly ScalingAnswer[]): Registry {
  const registry = new Registry();
  collectDefaultMetrics({ register: registry });
  for (const { name, help, read } of GAUGES)
    new Gauge({
      name,
      help,
      labelNames: ['worker', 'group'],
      registers: [registry],
      collect() {
        this.reset();
        for (const answer of answers()) {
          const value = read(answer);
          if (value !== null) this.set({ worker: answer.worker, group: answer.group }, value);
        }
      },
    });
  return registry;
}
