/** Every failure case of the replaced system, on the development broker: README.md says which row is where. */
import { afterAll, beforeAll, describe } from 'vitest';
import { crashRows } from './crashes.ts';
import { openWorld, type World } from './world.ts';

let world: World;
beforeAll(async () => {
  world = await openWorld();
}, 120_000);
afterAll(() => world?.pipeline.stop());

describe('crashes', () => crashRows(() => world));
