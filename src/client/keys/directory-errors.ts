import { isSystemError, refusedFile } from '../../errors/index.ts'
import type { KeyStore } from './key-store.ts'

/** The same store, whose errors of the system are told in words and with the directory's name. */
export function withDirectoryErrors(path: string, store: KeyStore): KeyStore {
  const entries = Object.entries(store).map(([name, method]) => [name, told(path, method)])
  return Object.fromEntries(entries) as KeyStore
}

const told =
  <A extends unknown[], T>(path: string, method: (...args: A) => Promise<T>) =>
  async (...args: A): Promise<T> => {
    try {
      return await method(...args)
    } catch (cause) {
      throw isSystemError(cause) ? refusedFile({ name: `The key directory ${path}` }, cause) : cause
    }
  }
