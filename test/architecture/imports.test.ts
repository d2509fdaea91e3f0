/**
 * Which package and which room may import which. Imports go down the map, never up, never sideways between services. Each rule
 * has its reason beside it: that is what to weigh before changing one.
 */
import { builtinModules } from 'node:module';
import { describe, expect, test } from 'vitest';
import { readSource } from './source-text.ts';
import { manifestOf, packageNames, resolveInside, type SourceFile, sourceFiles } from './tree.ts';

interface PackageRule {
  readonly may: readonly string[];
  readonly because: string;
}

const SERVICE: PackageRule = {
  may: ['core', 'contracts', 'sdk', 'storage', 'lake', 'table-sink'],
  because:
    'services meet only through topics and the topology file: each can be deployed, scaled and replaced alone, ' +
    'and the development broker and the CLI never get into an image',
};

const PACKAGES: Readonly<Record<string, PackageRule>> = {
  core: { may: [], because: 'everything stands on it: a dependency of core would be one of every package' },
  sdk: { may: ['core'], because: 'a worker author installs the SDK without this pipeline, its stores and its tables' },
  storage: { may: ['core'], because: 'a store knows bytes and names, no Kafka and no tables' },
  'dev-broker': { may: ['core'], because: 'a broker that shared code with its client would agree with its mistakes' },
  contracts: { may: ['core', 'sdk'], because: 'topics are declared with the SDK’s `topic`; contracts do no I/O' },
  lake: { may: ['core', 'storage'], because: 'tables know stores, not Kafka: offsets are plain numbers to them' },
  'table-sink': {
    may: ['core', 'sdk', 'contracts', 'storage', 'lake'],
    because:
      'the one place where records become rows: the SDK knows no tables, tables know no Kafka, contracts do no I/O',
  },
  ingester: SERVICE,
  'download-worker': SERVICE,
  'result-processor': SERVICE,
  'retry-scheduler': SERVICE,
  'dlq-handler': SERVICE,
  scaler: SERVICE,
  cli: {
    may: [
      'core',
      'sdk',
      'storage',
      'lake',
      'contracts',
      'table-sink',
      'dev-broker',
      'ingester',
      'download-worker',
      'result-processor',
      'retry-scheduler',
      'dlq-handler',
      'scaler',
    ],
    because: 'the command line is the top of the map; nothing imports it',
  },
};

const SERVICES = Object.keys(PACKAGES).filter((name) => PACKAGES[name] === SERVICE);
/** Of a service, the CLI sees what it declares and how it is set; it starts services as processes of their own. */
const SERVICE_ENTRIES = ['worker', 'config'];

const files = sourceFiles();
const ours = (specifier: string) => /^@weir\/([^/]+)(?:\/(.+))?$/.exec(specifier);

function breaches(check: (file: SourceFile, specifier: string, typeOnly: boolean) => string | undefined): string[] {
  return files.flatMap((file) =>
    readSource(file.path).imports.flatMap(({ specifier, typeOnly, line }) => {
      const breach = check(file, specifier, typeOnly);
      return breach ? [`${file.name}:${line} imports ${specifier}: ${breach}`] : [];
    }),
  );
}

describe('imports between packages', () => {
  test('every package is in the table', () => {
    expect(packageNames()).toEqual(Object.keys(PACKAGES).sort());
  });

  test('sources import only what the table allows', () => {
    expect(
      breaches((file, specifier) => {
        const target = ours(specifier)?.[1];
        if (target === undefined || target === file.package) return undefined;
        const rule = PACKAGES[file.package];
        return rule?.may.includes(target) ? undefined : rule?.because;
      }),
    ).toEqual([]);
  });

  test('manifests depend only on what the table allows', () => {
    const wrong = packageNames().flatMap((name) => {
      const manifest = manifestOf(name);
      return Object.keys({ ...manifest.dependencies, ...manifest.devDependencies })
        .map((each) => ours(each)?.[1])
        .filter((each) => each !== undefined && !PACKAGES[name]?.may.includes(each))
        .map((each) => `packages/${name}/package.json depends on @weir/${each}: ${PACKAGES[name]?.because}`);
    });
    expect(wrong).toEqual([]);
  });

  test('of a service, others import its worker and its config only', () => {
    expect(
      breaches((file, specifier) => {
        const [, target, entry] = ours(specifier) ?? [];
        if (target === undefined || !SERVICES.includes(target) || target === file.package) return undefined;
        return SERVICE_ENTRIES.includes(entry ?? '') ? undefined : 'the rest of a service is its own business';
      }),
    ).toEqual([]);
  });

  test('test kits (`/testing`) are imported by tests and test kits only, or they would ship', () => {
    expect(
      breaches((file, specifier) =>
        ours(specifier)?.[2] === 'testing' && !file.isTest && !file.inside.startsWith('testing/')
          ? 'not a test'
          : undefined,
      ),
    ).toEqual([]);
  });

  test('no import leaves its package by a path', () => {
    expect(
      breaches((file, specifier) =>
        specifier.startsWith('.') && resolveInside(file, specifier) === undefined
          ? 'use the package’s name, so that the tables above see it'
          : undefined,
      ),
    ).toEqual([]);
  });

  test('what a package imports, its own package.json declares (tests may use the repository’s tools)', () => {
    expect(
      breaches((file, specifier) => {
        if (file.isTest || specifier.startsWith('.') || specifier.startsWith('node:')) return undefined;
        // a test kit's suites are written with the test runner of whoever runs them
        if (file.inside.startsWith('testing/') && specifier === 'vitest') return undefined;
        const name = specifier
          .split('/')
          .slice(0, specifier.startsWith('@') ? 2 : 1)
          .join('/');
        if (builtinModules.includes(name)) return 'write node: in front';
        const manifest = manifestOf(file.package);
        return manifest.dependencies?.[name] === undefined
          ? 'undeclared: it is there by luck, and is missing from an image that installs this package alone'
          : undefined;
      }),
    ).toEqual([]);
  });

  test('what a package.json declares, the package uses: an image installs every one of them', () => {
    const unused = packageNames().flatMap((name) => {
      const sources = files
        .filter((file) => file.package === name && !file.isTest)
        .map((file) => readSource(file.path));
      if (sources.length === 0) return [];
      return Object.keys(manifestOf(name).dependencies ?? {})
        .filter(
          (dependency) =>
            !sources.some((source) =>
              // also as a text: the CLI starts services by resolving their names
              [...source.imports.map((each) => each.specifier), ...source.strings.map((each) => each.value)].some(
                (each) => each === dependency || each.startsWith(`${dependency}/`),
              ),
            ),
        )
        .map((dependency) => `packages/${name}/package.json declares ${dependency}`);
    });
    expect(unused).toEqual([]);
  });
});

interface RoomRule {
  /** Rooms (a name that ends in "/": all of its files) and single files that may be imported beside the room itself. */
  readonly may: readonly string[];
  readonly because: string;
}

/** What every room may know: the declaration, its settings, errors, names of metrics, the signal, the topology, a number's bytes. */
const ROOT_FILES = ['define.ts', 'config.ts', 'errors.ts', 'metrics.ts', 'metadata.ts', 'topology.ts', 'varint.ts'];
const PORT = 'kafka/port.ts';

const ROOMS: Readonly<Record<string, RoomRule>> = {
  root: {
    may: [...ROOT_FILES, PORT],
    because: 'root files are what all rooms share: knowing a room, they would tie all rooms to it',
  },
  kafka: { may: ROOT_FILES, because: 'an adapter moves records; what happens to them is decided elsewhere' },
  flow: {
    may: ROOT_FILES,
    because: 'limits, breakers and bounds are about work, whatever it is and wherever it came from',
  },
  delivery: {
    may: [...ROOT_FILES, PORT],
    because: 'delivery speaks to the port, so a second adapter changes nothing here',
  },
  scaling: { may: ROOT_FILES, because: 'the plan is computed by anyone who can read offsets: no worker runs in it' },
  member: {
    may: [...ROOT_FILES, PORT, 'delivery/', 'flow/', 'scaling/meter.ts'],
    because:
      'the parts of worker.ts: they join delivery, flow and the meter, and know no client, no plan and no server',
  },
  serve: { may: ROOT_FILES, because: 'what it answers is injected: serving must not decide' },
};

/** Single files that know more, or less, than their room. */
const FILES: Readonly<Record<string, RoomRule>> = {
  'scaling/snapshot.ts': { may: [...ROOT_FILES, PORT], because: 'the one file of scaling that reads Kafka' },
  'scaling/view.ts': { may: [...ROOT_FILES, PORT], because: 'takes snapshots on a timer' },
  'scaling/plan.ts': { may: [...ROOT_FILES, PORT], because: 'pure: it knows partitions by the port’s type' },
  'scaling/fleet.ts': {
    may: [...ROOT_FILES, 'kafka/assigner.ts', PORT],
    because: 'pure: it deals partitions to workers by the real assigner’s arithmetic',
  },
  'scaling/meter.ts': { may: [...ROOT_FILES, PORT], because: 'it knows partitions by the port’s type' },
};

/** These wire the rooms together: they may import any of them. */
const WIRING = [/^index\.ts$/, /^runtime\.ts$/, /^start\.ts$/, /^worker\.ts$/, /^member\//, /^run\.ts$/, /^testing\//];

describe('imports between the rooms of the SDK', () => {
  const sdk = files.filter((file) => file.package === 'sdk');
  const roomOf = (inside: string) => (inside.includes('/') ? inside.slice(0, inside.indexOf('/')) : 'root');

  test('every room is in the table', () => {
    const rooms = new Set(
      sdk.map((file) => roomOf(file.inside)).filter((room) => !WIRING.some((each) => each.test(`${room}/`))),
    );
    expect([...rooms].filter((room) => ROOMS[room] === undefined)).toEqual([]);
  });

  test('rooms import only what the table allows', () => {
    expect(
      breaches((file, specifier, typeOnly) => {
        if (file.package !== 'sdk' || file.isTest || WIRING.some((pattern) => pattern.test(file.inside)))
          return undefined;
        const target = specifier.startsWith('.') ? resolveInside(file, specifier) : undefined;
        if (target === undefined) return undefined;
        const room = roomOf(file.inside);
        const rule = FILES[file.inside] ?? ROOMS[room] ?? { may: [], because: 'this room is not in the table' };
        // a type is erased: the shape of the scaling answer may be named by the root files that carry it
        if (room === 'root' && typeOnly && roomOf(target) === 'scaling') return undefined;
        // a room is flat and knows itself; the root's files know each other, but not what wires the rooms
        const allowed =
          (roomOf(target) === room && !(room === 'root' && WIRING.some((pattern) => pattern.test(target)))) ||
          rule.may.some((each) => each === target || (each.endsWith('/') && target.startsWith(each)));
        return allowed ? undefined : rule.because;
      }),
    ).toEqual([]);
  });

  test('the plan reaches no input or output, not even through what it imports', () => {
    const byInside = new Map(sdk.map((file) => [file.inside, file]));
    const seen = new Set<string>();
    const impure: string[] = [];
    const visit = (inside: string, trail: readonly string[]) => {
      const file = byInside.get(inside);
      if (!file || seen.has(inside)) return;
      seen.add(inside);
      for (const { specifier, typeOnly } of readSource(file.path).imports) {
        if (typeOnly || specifier === '@weir/core') continue;
        const target = specifier.startsWith('.') ? resolveInside(file, specifier) : undefined;
        if (target) visit(target, [...trail, inside]);
        else impure.push(`${[...trail, inside].join(' -> ')} -> ${specifier}`);
      }
    };
    visit('scaling/plan.ts', []);
    expect(impure).toEqual([]);
  });

  test('only the adapter knows kafkajs, and only what is wired loads it', () => {
    expect(
      breaches((file, specifier) => {
        if (file.package !== 'sdk' || file.isTest || specifier.split('/')[0] !== 'kafkajs') return undefined;
        return /^kafka\/kafkajs|^kafka\/assigner/.test(file.inside)
          ? undefined
          : 'a second adapter would have to bring kafkajs along';
      }),
    ).toEqual([]);
  });
});
