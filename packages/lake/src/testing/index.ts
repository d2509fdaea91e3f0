export { appending } from './appending.ts';
export { keysIn, type TestFolder, testFolder } from './folder.ts';
export { type ModelRow, modelSpec, rowsOf, sliceOf } from './model.ts';
