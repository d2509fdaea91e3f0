/**
 * Every setting of the demo that differs from production, in one table with its reason. It is printed once, it is what
 * the services get as their environment, and nothing else is changed for them: they are the same processes that run in
 * a cluster.
 */
import type { ServiceName } from '../services.ts';

export interface DemoSetting {
  readonly name: string;
  readonly value: string;
  readonly why: string;
  /** The services it is for; all of them without. */
  readonly only?: readonly ServiceName[];
}

export interface DemoPlace {
  readonly prefix: string;
  readonly brokers: string;
  readonly storeUrl: string;
  readonly tablesUrl: string;
  readonly topologyPath: string;
  readonly sizeLimitBytes: number;
  /** Host names or addresses of the file servers. */
  readonly fileHosts: readonly string[];
}

/** Most replicas of each on one machine; each is a process of some 100 MB. */
export const MOST_REPLICAS: Readonly<Record<ServiceName, number>> = {
  'event-ingester': 2,
  'download-worker': 5,
  'result-processor': 2,
  'retry-scheduler': 1,
  'dlq-handler': 1,
  scaler: 1,
};

/** A stand-in for the Internet: what a file server takes before its first byte, ms in the mean. */
export const FILE_LATENCY_MS = 160;
export const FILE_HOSTS = 4;
/** How often the supervisor, as the HPA, looks. The HPA itself: every 15 s. */
export const TICK_MS = 1_000;
/** The HPA's windows (scale-down stabilisation, periods of the policies) are this many times shorter. */
export const SPEED_UP = 60;

export function demoSettings(place: DemoPlace): readonly DemoSetting[] {
  const setting = (name: string, value: string | number, why: string, only?: readonly ServiceName[]): DemoSetting => ({
    name,
    value: String(value),
    why,
    ...(only ? { only } : {}),
  });
  return [
    setting('KAFKA_BROKERS', place.brokers, 'where Kafka is'),
    setting('WEIR_TOPIC_PREFIX', place.prefix, 'fresh topics and groups for each run'),
    setting('STORE_URL', place.storeUrl, 'where downloads are kept'),
    setting('TABLES_URL', place.tablesUrl, 'where the Delta tables are'),
    setting('WEIR_TOPOLOGY', place.topologyPath, 'written by the demo from the declarations'),
    setting('WEIR_PROFILE', 'small', '512Mi, half a core: five to fifteen downloads at once'),
    setting('WEIR_SCALING_MIN', 1, 'start with one of each'),
    setting('WEIR_CATCH_UP', '6s', 'seconds instead of minutes, so that scaling shows'),
    setting('WEIR_SCALING_INTERVAL_MS', 1000, 'the same, for looking'),
    setting('RETRY_DELAYS', '1s,2s,4s,8s', 'seconds instead of 5 to 40 minutes', [
      'event-ingester',
      'download-worker',
      'result-processor',
    ]),
    setting('WEIR_BREAKER_COOL_DOWN_MS', 1000, 'the same, for an open breaker'),
    setting('BATCH_TIMEOUT_SECONDS', 1, 'rows show up sooner', ['event-ingester', 'result-processor', 'dlq-handler']),
    setting('KAFKA_SESSION_TIMEOUT_MS', 6000, 'a killed worker is missed after 6 s'),
    setting('KAFKA_MAX_POLL_INTERVAL_MS', 20000, 'and a rebalance waits no longer than this'),
    setting('DRAIN_TIMEOUT_MS', 10000, 'a worker that is too much ends within this'),
    setting('METRICS_PORT', 0, 'several workers on one machine: any free port'),
    setting('ALLOW_HTTP', 'true', 'the file servers speak plain HTTP', ['download-worker']),
    setting('ALLOWED_PORTS', '*', 'on any port', ['download-worker']),
    setting('ALLOW_PRIVATE_ADDRESSES', 'true', 'on loopback', ['download-worker']),
    setting('ALLOWED_ATTACHMENT_DOMAINS', place.fileHosts.join(','), 'and nowhere else', ['download-worker']),
    setting('ALLOWED_FILE_TYPES', '*', 'any file', ['download-worker']),
    setting('MAX_FILE_BYTES', place.sizeLimitBytes, 'so that an oversized file need not be huge', ['download-worker']),
  ];
}

/** Variables of our own environment that services need whatever the table says: how to reach Kafka and S3, and Node's. */
const PASSED_ON =
  /^(KAFKA_(?!BROKERS)|AWS_|S3_|SSL_|NODE_EXTRA_CA_CERTS$|HTTPS?_PROXY$|NO_PROXY$|PATH$|HOME$|TMPDIR$|TZ$|LANG$|SYSTEMROOT$|LOG_LEVEL$)/i;

/** The whole environment of one service. */
export function environmentOf(
  service: ServiceName,
  settings: readonly DemoSetting[],
  own: Readonly<Record<string, string | undefined>>,
  compileCache: string,
): Record<string, string> {
  const env: Record<string, string> = {};
  for (const [name, value] of Object.entries(own)) {
    if (value !== undefined && PASSED_ON.test(name)) env[name] = value;
  }
  for (const { name, value, only } of settings) if (only?.includes(service) ?? true) env[name] = value;
  env.WEIR_SCALING_MAX = String(MOST_REPLICAS[service]);
  if (service === 'scaler') env.SCALER_PORT = '0';
  // Replicas of one service compile the same sources: the second one starts faster.
  env.NODE_COMPILE_CACHE = compileCache;
  return env;
}
