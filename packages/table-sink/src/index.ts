export { TableSink, type TableSinkParts, type TableSinkSettings, type WriteContext } from './sink.ts';
