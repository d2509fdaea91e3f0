/** Every service's image: it builds, has what it needs and nothing else, and says what is wrong with its configuration. */
import { beforeAll, describe, expect, test } from 'vitest';
import { asked, buildImage, docker, imageOf, runToEnd } from './docker.ts';

const SERVICES = ['ingester', 'download-worker', 'result-processor', 'retry-scheduler', 'dlq-handler', 'scaler', 'cli'];
const BUILD_MS = 600_000;

describe.skipIf(!asked)('images', () => {
  beforeAll(async () => {
    for (const service of SERVICES) await buildImage(service);
  }, BUILD_MS);

  test.each(
    SERVICES,
  )('%s: not root, node as its entry point, and no sources, tests or development tools', async (service) => {
    const image = imageOf(service);
    const config = JSON.parse(await docker('image', 'inspect', '--format', '{{json .Config}}', image));
    expect(config.User).toBe('node');
    expect(config.Entrypoint).toEqual(['node', 'dist/main.js']);
    expect(config.StopSignal).toBe('SIGTERM');
    const listing = await docker(
      'run',
      '--rm',
      '--entrypoint',
      'sh',
      image,
      '-c',
      'cd /app; id -un; ls node_modules/@weir; find packages -name "*.ts" | head -3; ls node_modules | grep -xE "typescript|vitest|testcontainers|node" || true; find . -user node | head -3; test -w . && echo writable || true',
    );
    const [user, ...rest] = listing.split('\n');
    expect(user).toBe('node');
    // only what the service uses: never a broker, and never another service
    if (service !== 'cli')
      expect(rest.filter((each) => SERVICES.includes(each) || each === 'dev-broker')).toEqual([service]);
    expect(rest.filter((each) => /\.ts$|^typescript$|^vitest$|^testcontainers$|^node$|writable/.test(each))).toEqual(
      [],
    );
  });

  test.each(SERVICES)('%s: everything that its packages declare can be loaded', async (service) => {
    const script = `
      import { readdirSync, readFileSync } from 'node:fs';
      import { createRequire } from 'node:module';
      for (const name of readdirSync('/app/packages')) {
        const manifest = JSON.parse(readFileSync('/app/packages/' + name + '/package.json', 'utf8'));
        const require = createRequire('/app/packages/' + name + '/dist/x.js');
        for (const each of Object.keys(manifest.dependencies ?? {}))
          if (!require.resolve.paths(each).some((folder) => readdirSafe(folder + '/' + each))) console.log(name, each);
      }
      function readdirSafe(folder) { try { return readdirSync(folder).includes('package.json'); } catch { return false; } }
    `;
    const { code, output } = await runToEnd(
      '--entrypoint',
      'node',
      imageOf(service),
      '--input-type=module',
      '--eval',
      script,
    );
    expect({ code, missing: output }).toEqual({ code: 0, missing: '' });
  });

  test('an image adds less than 60 MB to its base', async () => {
    const sizeOf = async (image: string) => Number(await docker('image', 'inspect', '--format', '{{.Size}}', image));
    const base = await sizeOf('node:24-bookworm-slim');
    const added: Record<string, number> = {};
    for (const service of SERVICES) added[service] = Math.round(((await sizeOf(imageOf(service))) - base) / 1e6);
    expect(
      Object.entries(added).filter(([, megabytes]) => megabytes >= 60),
      JSON.stringify(added),
    ).toEqual([]);
  });

  test.each(
    SERVICES.filter((service) => service !== 'cli'),
  )('%s: a wrong setting is named, with exit code 2', async (service) => {
    const { code, output } = await runToEnd(
      '--env',
      'KAFKA_BROKERS=127.0.0.1:9',
      '--env',
      'KAFKA_SESSION_TIMEOUT_MS=soon',
      imageOf(service),
    );
    // these two are made from the topology: nothing can be said before it is there
    if (['retry-scheduler', 'dlq-handler'].includes(service)) expect(output).toContain('WEIR_TOPOLOGY');
    else expect(output).toMatch(/KAFKA_SESSION_TIMEOUT_MS.*"soon"/);
    expect(code).toBe(2);
  });

  test('the command line says how it is used', async () => {
    const { code, output } = await runToEnd(imageOf('cli'), '--help');
    expect(output).toContain('topics');
    expect(code).toBe(0);
  });

  test(
    'a build without SERVICE says what to give',
    async () => {
      await expect(docker('build', '.')).rejects.toThrow(/--build-arg SERVICE=/);
    },
    BUILD_MS,
  );
});
