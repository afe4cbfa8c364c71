import { closeSync } from 'node:fs'
import { openToRead } from './circuit-file.ts'

/**
 * A file that stays open as long as somebody holds it. Its bytes can then be read although its name was given
 * to another file, or removed. Threads of one process share descriptors.
 */
export class HeldFile {
  readonly path: string
  readonly #descriptor: number
  #holders = 0

  /** @throws errors of the system */
  constructor(path: string) {
    this.path = path
    this.#descriptor = openToRead(path)
    this.#holders = 1
  }

  /** Undefined when the file has been closed. */
  get descriptor(): number | undefined {
    return this.#holders > 0 ? this.#descriptor : undefined
  }

  /** Keeps the file open. @returns a function that ends this, once; nothing is held of a closed file */
  hold(): () => void {
    if (this.#holders === 0) return () => {}
    this.#holders++
    let held = true
    return () => {
      if (held) this.close()
      held = false
    }
  }

  /** Ends the first holding, which the constructor begins. */
  close(): void {
    this.#holders--
    if (this.#holders === 0) closeSync(this.#descriptor)
  }
}
