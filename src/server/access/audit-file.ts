import { closeSync, mkdirSync, openSync, writeSync } from 'node:fs'
import { dirname } from 'node:path'
import { type DestinationStream, type Logger, pino } from 'pino'
import { PolyVeilError, printableJson } from '../../errors/index.ts'

const CLOSED = -1

/**
 * A file that an audit log is appended to. A line is in the file when `write` returns; when it cannot be
 * written, `write` throws and the line is given up. Streams of pino would keep it and write it later,
 * although its request was refused.
 */
export class AuditFile implements DestinationStream {
  readonly path: string
  #file: number
  /** Whether the disk took only the beginning of a line. */
  #isTorn = false

  private constructor(path: string, file: number) {
    this.path = path
    this.#file = file
  }

  /** @throws CONFIG_INVALID when the file cannot be written */
  static open(path: string): AuditFile {
    try {
      mkdirSync(dirname(path), { recursive: true })
      return new AuditFile(path, opened(path))
    } catch (cause) {
      const { code } = cause as NodeJS.ErrnoException
      const message = `The audit log ${path} cannot be written (${code})`
      throw new PolyVeilError('CONFIG_INVALID', message, {}, { cause })
    }
  }

  /** A log of its own. */
  get log(): Logger {
    return pino({ base: null }, this)
  }

  /** @param line is read on terminals, so control characters that JSON leaves in place are escaped */
  write(line: string): void {
    const bytes = Buffer.from((this.#isTorn ? '\n' : '') + printableJson(line))
    let written = 0
    try {
      while (written < bytes.length) written += writeSync(this.#file, bytes, written)
      this.#isTorn = false
    } catch (error) {
      this.#isTorn ||= written > 0
      throw error
    }
  }

  /** Goes on in a new file of the same name, after the file has been moved away. */
  reopen(): void {
    const file = opened(this.path)
    closeSync(this.#file)
    this.#file = file
    this.#isTorn = false
  }

  /** A second call has no effect. */
  close(): void {
    if (this.#file === CLOSED) return
    closeSync(this.#file)
    // The system gives the number of a closed file to the next one.
    this.#file = CLOSED
  }
}

const opened = (path: string): number => openSync(path, 'a', 0o600)
