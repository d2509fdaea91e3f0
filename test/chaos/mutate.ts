/** Loaded before a chaos worker (`node --import`): Node then reads some files of the SDK with the named guarantee taken out. */
import { registerHooks } from 'node:module';
import { pathToFileURL } from 'node:url';
import { MUTATIONS, mutated, pathOf } from './mutations.ts';

const name = process.env.CHAOS_MUTATION;
const mutation = MUTATIONS.find((each) => each.name === name);
if (mutation === undefined) throw new Error(`CHAOS_MUTATION "${name}" is no mutation`);
const edits = mutation.edits.map((edit) => ({ edit, url: pathToFileURL(pathOf(edit)).href }));

registerHooks({
  load(url, context, next) {
    const loaded = next(url, context);
    const here = edits.filter((each) => each.url === url);
    if (here.length === 0) return loaded;
    if (loaded.source === null || loaded.source === undefined) throw new Error(`${url} comes without its source`);
    let source =
      typeof loaded.source === 'string' ? loaded.source : Buffer.from(loaded.source as Uint8Array).toString('utf8');
    for (const { edit } of here) source = mutated(source, edit);
    return { ...loaded, source };
  },
});
