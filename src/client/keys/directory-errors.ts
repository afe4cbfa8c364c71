import { isSystemError, refusedFile } from '../../errors/index.ts'
import type { EntryPlace } from './entry-place.ts'

/** Wraps a place so that system errors become messages with the directory's name. */
export function withDirectoryErrors(path: string, place: EntryPlace): EntryPlace {
  const told = async <T>(answer: Promise<T>): Promise<T> => {
    try {
      return await answer
    } catch (cause) {
      throw isSystemError(cause) ? refusedFile({ name: `The key directory ${path}` }, cause) : cause
    }
  }
  return {
    make: () => told(place.make()),
    get: (name) => told(place.get(name)),
    put: (name, bytes) => told(place.put(name, bytes)),
    add: (name, bytes) => told(place.add(name, bytes)),
    delete: (name) => told(place.delete(name)),
    names: () => told(place.names()),
    tidy: () => told(place.tidy()),
  }
}
