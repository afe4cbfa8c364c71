import type { WriteStream } from 'node:tty'
import { printable } from '../../errors/index.ts'

/** Where a command says how far it is. Nothing of it goes to stdout. */
export interface Progress {
  /** Begins a step; the one before is over. */
  step(label: string): void
  /** How much of the current step is done. */
  update(done: number, total: number): void
  /** A line that stays. */
  note(line: string): void
  /** A line that stays, and that is written even where no progress is wanted. */
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

/** One line that is drawn over and over. */
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

/** A step that is done sooner needs no further lines. */
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
