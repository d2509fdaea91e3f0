/**
 * A new file with these bytes, whole when it resolves. By callbacks on purpose: node:fs/promises makes a handle and several
 * promises for each of the three steps, which for a small file is most of the processor time of storing it.
 */
import { close, fsync, open, write } from 'node:fs';

/** @throws the file system's error, EEXIST among them: an existing file is never touched */
export function writeWhole(path: string, bytes: Uint8Array, options: { readonly fsync: boolean }): Promise<void> {
  return new Promise((resolve, reject) => {
    open(path, 'wx', (refused, file) => {
      if (refused) {
        reject(refused);
        return;
      }
      const finish = (failure: Error | null) => {
        close(file, (unclosed) => {
          const error = failure ?? unclosed;
          if (error) reject(error);
          else resolve();
        });
      };
      // One `write` may take less than it was given.
      const proceed = (written: number) => {
        if (written < bytes.byteLength)
          write(file, bytes, written, (failure, more) => (failure ? finish(failure) : proceed(written + more)));
        else if (options.fsync) fsync(file, finish);
        else finish(null);
      };
      proceed(0);
    });
  });
}
