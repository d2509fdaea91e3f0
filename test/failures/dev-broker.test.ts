/** Every failure case of the replaced system, on the development broker: README.md says which row is where. */
import { afterAll, beforeAll, describe } from 'vitest';
import { crashRows } from './crashes.ts';
import { deskRows } from './desk.ts';
import { outageRows } from './outages.ts';
import { outsideRows } from './outside.ts';
import { recordRows } from './records.ts';
import { openWorld, type World } from './world.ts';

let world: World;
beforeAll(async () => {
  world = await openWorld();
}, 120_000);
afterAll(() => world?.pipeline.stop());

describe('records', () => recordRows(() => world));
describe('seen from outside', () => outsideRows(() => world));
describe('dead letters', () => deskRows(() => world));
describe('outages', () => outageRows(() => world));
describe('crashes', () => crashRows(() => world));
