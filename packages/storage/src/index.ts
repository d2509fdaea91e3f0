export {
  BucketMissingError,
  ERRORS,
  InvalidKeyError,
  InvalidStoreUrlError,
  ObjectNotFoundError,
  PreconditionFailedError,
  StoreAccessDeniedError,
  StoreNotAtomicError,
  StoreRefusedError,
  StoreUnavailableError,
} from './errors.ts';
export { checkKey, checkPrefix } from './key.ts';
export { type OpenStoreOptions, openStore } from './open.ts';
export type { S3Credentials } from './s3.ts';
export type { ByteRange, ObjectInfo, ObjectStore, PutOptions, PutStreamOptions } from './store.ts';
