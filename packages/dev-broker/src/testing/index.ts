export {
  apiOf,
  type BatchParts,
  decodeResponse,
  framed,
  RawClient,
  recordBatch,
  requestFrame,
  sealed,
} from './raw-client.ts';
