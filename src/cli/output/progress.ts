import type { WriteStream } from 'node:tty'
import { printable } from '../../errors/index.ts'

/** Shows a command's progress, never on stdout. */
export interface Progress {
  /** Begins a step and ends the one before. */
  step(label: string): void
  /** Updates the current step. */
  update(done: number, total: number): void
  /** Prints a line that stays. */
  note(line: string): void
  /** Prints a line that stays, also with `--quiet`. */
  warn(line: string): void
  /** Ends the last step. */
  end(): void
}

/** @param stream stderr; a bar on a terminal, plain lines elsewhere, nothing when `quiet` */
export function createProgress(stream: WriteStream, quiet: boolean): Progress {
  if (quiet) return new Silent(stream)
  return stream.isTTY ? new Bar(stream) : new Lines(stream)
}

class Silent implements Progress {
  readonly #stream: WriteStream

  constructor(stream: WriteStream) {
    this.#stream = stream
  }

  step(): void {}
  update(): void {}
  note(): void {}
  end(): void {}

  warn(line: string): void {
    this.#stream.write(`${printable(line)}\n`)
  }
}

const BAR_WIDTH = 24
const FRAME_MS = 80

/** Draws one line of a terminal again and again. */
class Bar implements Progress {
  readonly #stream: WriteStream
  #label = ''
  #drawnAt = 0

  constructor(stream: WriteStream) {
    this.#stream = stream
  }

  step(label: string): void {
    this.end()
    this.#label = printable(label)
    this.#draw('')
  }

  update(done: number, total: number): void {
    if (performance.now() - this.#drawnAt < FRAME_MS) return
    const filled = Math.round((BAR_WIDTH * done) / total)
    this.#draw(` ${'█'.repeat(filled)}${'░'.repeat(BAR_WIDTH - filled)} ${percent(done, total)}`)
  }

  note(line: string): void {
    this.#clear()
    this.#stream.write(`${printable(line)}\n`)
    if (this.#label) this.#draw('')
  }

  warn(line: string): void {
    this.note(line)
  }

  end(): void {
    this.#clear()
    this.#label = ''
  }

  #draw(rest: string): void {
    this.#clear()
    this.#stream.write(`${this.#label}${rest}`)
    this.#drawnAt = performance.now()
  }

  #clear(): void {
    this.#stream.write('\r\x1b[K')
  }
}

/** A step that takes less than this prints no further lines. */
const LINE_MS = 2000

class Lines implements Progress {
  readonly #stream: WriteStream
  #label = ''
  #writtenAt = 0

  constructor(stream: WriteStream) {
    this.#stream = stream
  }

  step(label: string): void {
    this.#label = label
    this.note(label)
  }

  update(done: number, total: number): void {
    if (performance.now() - this.#writtenAt < LINE_MS) return
    this.note(`${this.#label}: ${percent(done, total)}`)
  }

  note(line: string): void {
    this.#writtenAt = performance.now()
    this.#stream.write(`${printable(line)}\n`)
  }

  warn(line: string): void {
    this.note(line)
  }

  end(): void {}
}

const percent = (done: number, total: number): string => `${Math.floor((100 * done) / total)} %`
